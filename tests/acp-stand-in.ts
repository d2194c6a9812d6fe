import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** How the stand-in departs from a good agent of the protocol. */
export type AcpAct =
  | "good"
  /** Asks for permission, runs no command of its own, but writes artifacts/report.md. */
  | "works"
  /** Its first answer is no JSON; tells the story of a loaded session after it has answered, as gemini does. */
  | "bad-first"
  | "cannot-load"
  /** Takes any session id and starts anew, as qwen does. */
  | "forgets"
  | "noisy"
  | "exits-3"
  | "exits-0"
  | "silent"
  | "asks-auth"
  | "old-version"
  | "no-session"
  | "max-tokens"
  | "model-error"
  | "stubborn";

const program = `#!/usr/bin/env node
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";

if (process.argv.includes("--version")) {
  console.log("0.9.1");
  process.exit(0);
}
const act = process.env.ACT;
const answer = JSON.stringify({ ok: true });
let loggedIn = act !== "asks-auth";
let sessionId = "session-" + process.pid;
let model = null;
let prompting = null;
const send = (message) => process.stdout.write(JSON.stringify({ jsonrpc: "2.0", ...message }) + "\\n");
const update = (update) => send({ method: "session/update", params: { sessionId, update } });
const say = (text, kind = "agent_message_chunk") => update({ sessionUpdate: kind, content: { type: "text", text } });
const story = process.env.HOME + "/acp-story-" + act;
const option = { id: "llm", name: "Model", category: "model", type: "select", currentValue: "a", options: [] };
const shell = { toolCallId: "t1", title: "echo hi", kind: "execute" };

function prompt(id, text) {
  appendFileSync(process.env.HOME + "/prompts.jsonl", JSON.stringify({ act, text, model, args: process.argv.slice(2) }) + "\\n");
  if (act === "exits-3") process.exit(3);
  if (act === "exits-0") process.exit(0);
  if (act === "silent" || act === "stubborn") return;
  if (act === "model-error") return send({ id, error: { code: -32603, message: "Internal error", data: { details: "the model is on fire" } } });
  const retried = existsSync(story);
  writeFileSync(story, "told");
  const last = ["bad-first", "cannot-load", "forgets"].includes(act) && !retried ? "no JSON here" : answer;
  const end = () => {
    for (const piece of [last.slice(0, 3), last.slice(3)]) say(piece);
    update({ sessionUpdate: "usage_update", used: 10, size: 100, cost: { amount: 0.5, currency: "USD" } });
    const usage = { inputTokens: 900, outputTokens: 40, totalTokens: 1050, thoughtTokens: 10, cachedReadTokens: 100 };
    send({ id, result: { stopReason: act === "max-tokens" ? "max_tokens" : "end_turn", usage } });
  };
  say("I think ", "agent_thought_chunk");
  say("so.", "agent_thought_chunk");
  if (act !== "works") return end();
  say("Let me see. ");
  prompting = () => {
    mkdirSync("artifacts", { recursive: true });
    writeFileSync("artifacts/report.md", "# Report\\n");
    update({ ...shell, sessionUpdate: "tool_call_update", status: "completed", rawOutput: { exitCode: 0 }, content: [{ type: "content", content: { type: "text", text: "hi" } }] });
    say(JSON.stringify({ ok: true, report: "artifacts/report.md" }));
    send({ id, result: { stopReason: "end_turn" } });
  };
  update({ ...shell, sessionUpdate: "tool_call", status: "pending", rawInput: {} });
  const options = [
    { optionId: "always", name: "Always", kind: "allow_always" },
    { optionId: "once", name: "Once", kind: "allow_once" },
    { optionId: "no", name: "No", kind: "reject_once" },
  ];
  send({ id: "ask", method: "session/request_permission", params: { sessionId, toolCall: { ...shell, rawInput: { command: "echo hi" } }, options } });
}

function load(id, params) {
  sessionId = params.sessionId;
  send({ id, result: { configOptions: [option] } });
  if (act === "forgets") return;
  setTimeout(() => {
    say("an old question", "user_message_chunk");
    say("an old answer {");
  }, 100);
}

function handle({ id, method, params, result }) {
  if (method === "initialize") {
    const loadSession = act !== "cannot-load";
    return send({ id, result: { protocolVersion: act === "old-version" ? 0 : 1, agentCapabilities: { loadSession } } });
  }
  if (method === "authenticate") {
    loggedIn = params.methodId === "key";
    return send({ id, result: {} });
  }
  if (method === "session/new" || method === "session/load") {
    if (!loggedIn) return send({ id, error: { code: -32000, message: "Authentication required" } });
    if (act === "no-session") return send({ id, result: null });
    if (method === "session/load") return load(id, params);
    return send({ id, result: { sessionId, configOptions: [option, { unheard: "of" }] } });
  }
  if (method === "session/set_config_option") {
    if (params.value === "nope") return send({ id, error: { code: -32602, message: "There is no model nope" } });
    model = params.configId + "=" + params.value;
    return send({ id, result: { configOptions: [] } });
  }
  if (method === "session/prompt") return prompt(id, params.prompt[0].text);
  if (id === "ask" && result?.outcome?.optionId === "once") prompting();
}

if (act === "stubborn") process.on("SIGTERM", () => {});
if (act === "noisy") process.stdout.write("Welcome!\\n\\u001b[1mhints\\u001b[0m {\\n[1,2]\\n" + "x".repeat(20 * 1024 * 1024) + "\\n{}\\n");
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => handle(JSON.parse(line)));
if (act !== "stubborn") lines.on("close", () => process.exit(0));
`;

/** Puts the stand-in into an npm prefix as \`talker\`. */
export async function installAcpStandIn(prefix: string): Promise<void> {
  await mkdir(join(prefix, "bin"), { recursive: true });
  const path = join(prefix, "bin", "talker");
  await writeFile(path, program);
  await chmod(path, 0o755);
  await writeFile(join(prefix, "package.json"), '{"type":"module"}');
}

/** A definition of the stand-in for each act: the act is the agent's id. */
export function definitionsOf(acts: readonly AcpAct[]) {
  const one = (act: AcpAct) => ({ command: "talker", args: ["--acp"], env: { ACT: act } });
  return { agents: Object.fromEntries(acts.map((act) => [act, one(act)])) };
}
