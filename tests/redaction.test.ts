import { chmod, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import getChat from "../functions/v1/jobs/[request_id]/chat/history.get.ts";
import getEvents from "../functions/v1/jobs/[request_id]/events/history.get.ts";
import getLogs from "../functions/v1/jobs/[request_id]/logs/index.get.ts";
import getResult from "../functions/v1/jobs/[request_id]/result.get.ts";
import { type Harness, plainPackage, startHarness } from "./harness.ts";

/** An agent that shows the key it was given: nobody who reads the job sees it. */
let harness: Harness;
afterEach(() => harness.close());

const key = "sk-proj-0123456789abcdefghijklmnop";
const token = 'tok"en/with\\odd signs';

const probes = {
  codex: `if (process.argv[2] === "--version") { console.log("codex-cli 0.169.0"); process.exit(0); }
if (process.argv[2] !== "exec" || process.argv[3] === "--help") process.exit(0);`,
  gemini: `if (process.argv[2] === "--version") { console.log("0.61.0"); process.exit(0); }
if (process.argv[2] === "--help") process.exit(0);`,
};

/** An answer of any kind. */
const open = {
  type: "object",
  properties: {
    note: { type: "string" },
    list: { "x-type": "artifact-manifest", "x-role": "files", type: "string" },
  },
};

async function run(script: string, engine: "codex" | "gemini" = "codex") {
  harness = await startHarness({ env: { SKILL_RUNNER_MAX_REPAIR_TURNS: "0" } });
  await harness.writeSkill("s", { ...plainPackage("s"), "assets/output.schema.json": open });
  const path = join(harness.config.npmPrefix, "bin", engine);
  await mkdir(join(harness.config.npmPrefix, "bin"), { recursive: true });
  await writeFile(path, `#!/usr/bin/env node\n${probes[engine]}\n${script}\n`);
  await chmod(path, 0o755);
  const env = { OPENAI_API_KEY: key, GEMINI_API_KEY: key, DEPLOY_TOKEN: token, REGION: "europe-west1" };
  const { body } = await harness.submit({ skill_id: "s", engine, runtime_options: { no_cache: true, env } });
  expect(body).toMatchObject({ request_id: expect.any(String) });
  const job = await harness.ended(body.request_id);
  const params = { request_id: body.request_id };
  const events = JSON.stringify((await harness.call(getEvents, { params })).body);
  const logs = JSON.stringify((await harness.call(getLogs, { params })).body);
  const chat = JSON.stringify((await harness.call(getChat, { params })).body);
  const result = (await harness.call(getResult, { params })).body;
  return { job, events, logs, chat, result };
}

/** The files of all jobs, of whatever kind, that hold one of the secrets. */
async function leaks(): Promise<string[]> {
  const entries = await readdir(harness.config.dataDir, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const texts = await Promise.all(files.map(async (file) => ({ file, text: await readFile(file, "utf8") })));
  const inJson = (text: string) => JSON.stringify(text).slice(1, -1);
  const spellings = [key, token, inJson(token), inJson(inJson(token))];
  return texts
    .filter(({ text }) => spellings.some((secret) => text.includes(secret)))
    .map(({ file }) => file);
}

const say = `
const write = (stream, text) => new Promise((done) => stream.write(text, done));
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
/** In two pieces, cut in the middle of the key. */
const halves = async (stream, line) => {
  const cut = line.indexOf("0123456789") + 5;
  await write(stream, line.slice(0, cut));
  await sleep(60);
  await write(stream, line.slice(cut));
};
const key = process.env.OPENAI_API_KEY;
const line = (value) => JSON.stringify(value) + "\\n";
`;

test("in what it says, does and logs, though the border of two pieces cuts it", async () => {
  const { job, events, logs } = await run(`${say}
await halves(process.stderr, "debug: using " + key + "\\n");
await write(process.stdout, line({ type: "thread.started", thread_id: "t" }));
const echo = { id: "1", type: "command_execution", command: "env", aggregated_output: "KEY=" + key, exit_code: 0, status: "completed" };
await halves(process.stdout, line({ type: "item.completed", item: echo }));
// As in an answer: JSON in JSON.
const note = JSON.stringify({ note: process.env.DEPLOY_TOKEN + " in " + process.env.REGION + " with " + key });
await halves(process.stdout, line({ type: "item.completed", item: { id: "2", type: "agent_message", text: note } }));
await write(process.stdout, line({ type: "item.completed", item: { id: "3", type: "agent_message", text: '{"ok":true}' } }));
await write(process.stdout, line({ type: "turn.completed", usage: { input_tokens: 1, cached_input_tokens: 0, output_tokens: 1 } }));
`);
  expect(job.error).toBeNull();
  for (const told of [events, logs]) {
    expect(told).toContain("[redacted]");
    expect(told).not.toContain("sk-proj");
    expect(told).not.toContain("odd signs");
  }
  // What is no secret stays.
  expect(events).toContain("europe-west1");
  expect(await leaks()).toEqual([]);
});

test("in the reason for which it failed", async () => {
  const { job } = await run(`${say}
await write(process.stdout, line({ type: "thread.started", thread_id: "t" }));
await halves(process.stdout, line({ type: "turn.failed", error: { message: "Incorrect API key provided: " + key } }));
process.exitCode = 1;
`);
  expect(job.status).toBe("failed");
  expect(job.error.message).toContain("[redacted]");
  expect(await leaks()).toEqual([]);
});

const said = (text: string) =>
  `await write(process.stdout, line({ type: "item.completed", item: { id: "3", type: "agent_message", text: ${text} } }));`;
const begun = `${say}
await write(process.stdout, line({ type: "thread.started", thread_id: "t" }));
`;
const done = `
await write(process.stdout, line({ type: "turn.completed", usage: { input_tokens: 1, cached_input_tokens: 0, output_tokens: 1 } }));
`;

test("in an answer that comes in pieces, and in the chat", async () => {
  const { job, events, chat, result } = await run(
    `${say}
const answer = JSON.stringify({ note: "with " + key + " in it" });
const cut = answer.indexOf("0123456789") + 5;
await write(process.stdout, line({ type: "init", session_id: "t" }));
for (const content of [answer.slice(0, cut), answer.slice(cut)])
  await write(process.stdout, line({ type: "message", role: "assistant", content, delta: true }));
await write(process.stdout, line({ type: "result", status: "success" }));
`,
    "gemini",
  );
  expect(job.error).toBeNull();
  expect(result.result.data).toEqual({ note: "with [redacted] in it" });
  for (const told of [events, chat]) {
    expect(told).toContain("with [redacted] in it");
    expect(told).not.toContain("sk-proj");
  }
});

test("in an answer left in a file, however its JSON spells the key, and in the names of files", async () => {
  const { job, events, result } = await run(`${begun}
const { writeFileSync } = await import("node:fs");
writeFileSync("artifacts/" + key + ".txt", "");
writeFileSync("artifacts/plain.txt", "");
const spelled = "\\\\u0073" + key.slice(1);
writeFileSync("s.result.json", '{"note": "' + spelled + ' and ' + key + '"}');
${said('"See the file."')}${done}`);
  expect(job.error).toBeNull();
  expect(result.result.data).toEqual({ note: "[redacted] and [redacted]" });
  expect(result.result.artifacts).toEqual(["artifacts/plain.txt"]);
  expect(job.warnings.map(({ code }: { code: string }) => code)).toContain("ARTIFACT_NAME_SECRET");
  expect(JSON.stringify([job, result, events])).not.toContain("sk-proj");
});

test("in what is wrong with an answer", async () => {
  const { job } = await run(`${begun}
const { writeFileSync } = await import("node:fs");
writeFileSync("list.json", JSON.stringify({ [key]: "no/" + key }));
${said('JSON.stringify({ list: "list.json" })')}${done}`);
  expect(job.status).toBe("failed");
  expect(JSON.stringify(job.error)).toContain("[redacted]");
  expect(JSON.stringify(job)).not.toContain("sk-proj");
});

test("with colours in the middle of it", async () => {
  const { events, logs } = await run(`${begun}
const coloured = key.slice(0, 12) + "\\u001b[31m" + key.slice(12);
await halves(process.stderr, "debug: " + coloured + "\\n");
await write(process.stdout, "debug: " + coloured + "\\n");
${said(`'{"note":"x"}'`)}${done}`);
  for (const told of [events, logs]) {
    expect(told).toContain("debug: [redacted]");
    expect(told).not.toContain("sk-proj");
  }
  expect(await leaks()).toEqual([]);
});
