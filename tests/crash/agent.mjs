/**
 * The agent of the crash tests, in the place of codex: it answers by the skill that lies in its workspace, and writes
 * down when it starts and ends, so that the tests can tell from outside whether a job ran twice.
 *
 * The caller's plan comes in the run's variable PLAN (JSON): { before, after } milliseconds to wait before and after it
 * speaks, `broken` first starts whose answer fits no schema, `leave` a child in a session of its own.
 */
import { spawn } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const run = process.env.SKILL_RUNNER_RUN_ID ?? "";
const log = join(process.env.NPM_CONFIG_PREFIX ?? "", "agents.jsonl");
const plan = JSON.parse(process.env.PLAN ?? "{}");
const thread = `thread-${run}`;
const resumes = process.argv.includes("resume") ? process.argv[process.argv.indexOf("resume") + 1] : null;
const mark = (what) =>
  appendFileSync(log, `${JSON.stringify({ run, pid: process.pid, at: Date.now(), ...what })}\n`);

/** Other processes of the same run: an agent, or what one left. */
function others() {
  return readdirSync("/proc").filter((name) => {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) return false;
    try {
      return readFileSync(`/proc/${name}/environ`, "latin1")
        .split("\0")
        .includes(`SKILL_RUNNER_RUN_ID=${run}`);
    } catch {
      return false;
    }
  });
}

const startsBefore = existsSync(log)
  ? readFileSync(log, "utf8")
      .split("\n")
      .filter((line) => line.includes(run) && line.includes('"start"')).length
  : 0;
mark({ mark: "start", resumes, others: others() });
const prompt = readFileSync(0, "utf8");
if (resumes !== null && resumes !== thread) mark({ mark: "wrong-session", resumes });
if (plan.leave) spawn("sleep", ["300"], { detached: true, stdio: "inherit" }).unref();

const answers = {
  "report-from-file": { title: "Tides", key_points: ["High water at 06:12."], report: "artifacts/report.md" },
  "text-stats": {
    word_count: 2,
    sentence_count: 1,
    top_words: ["tide"],
    detected_language: "en",
    summary: "Tides.",
  },
};
const [skill] = readdirSync(".agents/skills");
if (skill === "report-from-file") {
  // A file that is not there or not whole is a job that lost its upload.
  const uploaded = readdirSync("uploads").map((name) => readFileSync(join("uploads", name), "utf8"));
  mark({ mark: "uploads", uploaded });
  mkdirSync("artifacts", { recursive: true });
  writeFileSync("artifacts/report.md", "# Tides\n\nHigh water came at 06:12.\n");
}
if (skill === "asks") {
  // A session remembers what was answered in it, also when the turn that heard it was cut off.
  if (prompt.trim() === "blue") mark({ mark: "heard" });
  const lines = readFileSync(log, "utf8").split("\n");
  const heard = lines.some((line) => line.includes(run) && line.includes('"heard"'));
  answers.asks =
    resumes !== null && heard
      ? { colour: "blue", __SKILL_DONE__: true }
      : { __SKILL_DONE__: false, message: "Which colour?", ui_hints: { kind: "open_text" } };
}
const say = (line) => new Promise((resolve) => process.stdout.write(`${JSON.stringify(line)}\n`, resolve));
const answer =
  startsBefore < (plan.broken ?? 0) ? { broken: true } : (answers[skill] ?? "An old silent pond");
const text = typeof answer === "string" ? answer : JSON.stringify(answer);
await sleep(plan.before ?? 0);
await say({ type: "thread.started", thread_id: thread });
await say({ type: "turn.started" });
await sleep(plan.between ?? 0);
await say({ type: "item.completed", item: { id: "item_1", type: "agent_message", text } });
await say({
  type: "turn.completed",
  usage: { input_tokens: 10, cached_input_tokens: 0, output_tokens: 5, reasoning_output_tokens: 0 },
});
await sleep(plan.after ?? 0);
mark({ mark: "end" });
