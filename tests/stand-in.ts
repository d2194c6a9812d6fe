import { existsSync } from "node:fs";
import { chmod, mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * A small executable in the place of codex: it replays lines in the form that the real CLI was recorded in
 * (tests/fixtures/codex), writes the files a scenario names, and can misbehave in every way a CLI does.
 */
export interface StandInTurn {
  /** Lines of stdout, as they are. */
  lines?: string[];
  stderr?: string;
  /** Files to write, relative to the working directory. */
  files?: Record<string, string>;
  /** Milliseconds to wait before the lines, and after them. */
  waitBefore?: number;
  waitAfter?: number;
  /** Ignore TERM. */
  stubborn?: boolean;
  /** Leave a child behind that moved to a session of its own and holds the pipes open. */
  leaveChild?: boolean;
  /** Bytes of one endless line to print first. */
  endlessLine?: number;
  exitCode?: number;
  /** Go on, when all of this is done, with what the test gives the run by `giveCue`; a turn that waits is never done. */
  onCue?: boolean;
}

/** Turns by number; a run with more turns repeats the last. */
export type Scenario = StandInTurn[];

const program = `#!/usr/bin/env node
import { spawn } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

if (process.argv.includes("--version")) {
  console.log("codex-cli 0.169.0");
  process.exit(0);
}
if (process.argv[2] === "login") {
  const folder = dirname(dirname(process.argv[1]));
  process.stdout.write(readFileSync(join(folder, "login.txt"), "utf8"));
  while (!existsSync(join(folder, "confirmed"))) await new Promise((resolve) => setTimeout(resolve, 20));
  process.exit(0);
}
if (process.argv[2] === "sandbox" || process.argv.includes("--help")) process.exit(0);
const prompt = readFileSync(0, "utf8");
const home = dirname(dirname(process.argv[1]));
const scenario = JSON.parse(readFileSync(join(home, "scenario.json"), "utf8"));
const marks = join(process.env.TMPDIR ?? "/tmp", "turns");
// A session that goes on has had a turn, also where what is temporary has not come along.
const earlier = process.argv.includes("resume") ? 1 : 0;
const turns = existsSync(marks) ? readFileSync(marks, "utf8").length : earlier;
appendFileSync(marks, "x");
const seen = { args: process.argv.slice(2), prompt, env: process.env, cwd: process.cwd(), pid: process.pid };
appendFileSync(join(home, "calls.jsonl"), JSON.stringify(seen) + "\\n");
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const print = (text) => new Promise((resolve) => process.stdout.write(text, resolve));
const play = async (turn) => {
  if (turn.stubborn) process.on("SIGTERM", () => {});
  if (turn.leaveChild) spawn("sleep", ["60"], { detached: true, stdio: "inherit" }).unref();
  for (const [path, content] of Object.entries(turn.files ?? {})) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
  await sleep(turn.waitBefore ?? 0);
  const chunk = "x".repeat(1024 * 1024);
  for (let left = turn.endlessLine ?? 0; left > 0; left -= chunk.length) await print(chunk);
  if (turn.endlessLine) await print("\\n");
  for (const line of turn.lines ?? []) await print(line + "\\n");
  if (turn.stderr) process.stderr.write(turn.stderr);
  await sleep(turn.waitAfter ?? 0);
  process.exitCode = turn.exitCode ?? 0;
};
const cue = join(home, "cues", process.env.SKILL_RUNNER_RUN_ID + ".json");
const nextCue = async () => {
  while (!existsSync(cue)) await sleep(10);
  const turn = JSON.parse(readFileSync(cue, "utf8"));
  rmSync(cue);
  return turn;
};
let turn = scenario[Math.min(turns, scenario.length - 1)];
await play(turn);
while (turn.onCue) {
  turn = await nextCue();
  await play(turn);
}
`;

/** Puts the stand-in into an npm prefix as `codex`. */
export async function installStandIn(prefix: string, scenario: Scenario): Promise<void> {
  await mkdir(join(prefix, "bin"), { recursive: true });
  const path = join(prefix, "bin", "codex");
  await writeFile(path, program);
  await chmod(path, 0o755);
  await writeFile(join(prefix, "package.json"), '{"type":"module"}');
  await setScenario(prefix, scenario);
}

export async function setScenario(prefix: string, scenario: Scenario): Promise<void> {
  await writeFile(join(prefix, "scenario.json"), JSON.stringify(scenario));
}

/** Gives the stand-in of a run, which waits for it, what it does next. Resolves when it has taken it. */
export async function giveCue(prefix: string, runId: string, turn: StandInTurn): Promise<void> {
  const folder = join(prefix, "cues");
  await mkdir(folder, { recursive: true });
  const path = join(folder, `${runId}.json`);
  // In one step: the stand-in reads whatever is there.
  await writeFile(`${path}.new`, JSON.stringify(turn));
  await rename(`${path}.new`, path);
  for (let tries = 0; existsSync(path); tries++) {
    if (tries === 2_000) throw new Error(`the stand-in of run ${runId} waits for no cue`);
    await sleep(10);
  }
}

export const thread = "01a20ebe-7df7-7052-a18a-e9fd2a2c1565";

/** The lines of a codex turn that ends with this answer, in the recorded form. */
export function answering(text: string | object, { tool = true } = {}): string[] {
  const answer = typeof text === "string" ? text : JSON.stringify(text);
  const command = "/bin/bash -lc 'echo hello'";
  const call = { id: "item_0", type: "command_execution", command };
  return [
    { type: "thread.started", thread_id: thread },
    { type: "turn.started" },
    ...(tool
      ? [
          {
            type: "item.started",
            item: { ...call, aggregated_output: "", exit_code: null, status: "in_progress" },
          },
          {
            type: "item.completed",
            item: { ...call, aggregated_output: "hello\n", exit_code: 0, status: "completed" },
          },
        ]
      : []),
    { type: "item.completed", item: { id: "item_1", type: "agent_message", text: answer } },
    {
      type: "turn.completed",
      usage: {
        input_tokens: 1000,
        cached_input_tokens: 100,
        cache_write_input_tokens: 0,
        output_tokens: 50,
        reasoning_output_tokens: 10,
      },
    },
  ].map((line) => JSON.stringify(line));
}

export const refused401 = (attempt: number) =>
  JSON.stringify({
    type: "error",
    message: `Reconnecting... ${attempt}/5 (unexpected status 401 Unauthorized: Incorrect API key provided.)`,
  });
