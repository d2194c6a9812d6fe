import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import listEngines from "../functions/v1/engines/index.get.ts";
import cancelJob from "../functions/v1/jobs/[request_id]/cancel.post.ts";
import events from "../functions/v1/jobs/[request_id]/events/history.get.ts";
import { type AcpAct, definitionsOf, installAcpStandIn } from "./acp-stand-in.ts";
import { type Harness, plainPackage, startHarness } from "./harness.ts";

const acts: AcpAct[] = [
  ...(["good", "works", "bad-first", "cannot-load", "forgets", "noisy", "exits-3", "exits-0"] as const),
  ...(["silent", "asks-auth", "old-version", "no-session", "max-tokens", "model-error", "stubborn"] as const),
];

let folder: string;
let server: Harness;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "acp-"));
  const file = join(folder, "agents.json");
  const { agents } = definitionsOf(acts);
  const login = { ...agents["asks-auth"], auth_method: "key", key_variables: ["TALKER_KEY"] };
  const byArgument = { ...agents.good, title: "Talker", model_arg: "--model" };
  const byPath = { ...agents.good, command: join(folder, "bin/talker") };
  const more = { "by-argument": byArgument, "by-path": byPath, gone: { command: "/no/such" } };
  await writeFile(file, JSON.stringify({ agents: { ...agents, "logs-in": login, ...more } }));
  await installAcpStandIn(folder);
  server = await startHarness({
    noEngine: true,
    env: { SKILL_RUNNER_ACP_AGENTS: file, TALKER_KEY: "k", PROCESS_TERMINATE_GRACE_SEC: "0.2" },
  });
  await installAcpStandIn(server.config.npmPrefix);
  await server.writeSkill(
    "plain",
    plainPackage("plain", { engines: [...acts, "logs-in", "by-argument", "by-path"] }),
  );
});
afterAll(async () => {
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

async function run(engine: string, more: object = {}) {
  const accepted = await server.submit({
    skill_id: "plain",
    engine,
    runtime_options: { no_cache: true },
    ...more,
  });
  expect(accepted.body).toMatchObject({ status: "queued" });
  const id: string = accepted.body.request_id;
  const job = await server.ended(id);
  return { id, job, result: await server.result(id) };
}
const history = async (id: string) => (await server.call(events, { params: { request_id: id } })).body.events;
const prompts = async (act: AcpAct) =>
  (await readFile(join(server.folder, "home/prompts.jsonl"), "utf8"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line))
    .filter((prompt) => prompt.act === act);

test("a defined agent is an engine like any other", async () => {
  const { body } = await server.call(listEngines);
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came back
  const status = (id: string) => body.engines.find(({ engine }: any) => engine === id);
  expect(status("good")).toMatchObject({ title: "good (ACP)", present: true, cli_version_detected: "0.9.1" });
  expect(status("by-argument")).toMatchObject({ title: "Talker" });
  expect(status("gone")).toMatchObject({
    present: false,
    how_to_install: "There is no executable at the path that its definition names.",
  });
  expect([status("good").auth_ready, status("logs-in").auth_ready]).toEqual([false, true]);
});

test("a command may be an absolute path", async () => {
  expect((await run("by-path")).result).toMatchObject({ status: "success" });
});

test("an answer in pieces, with its counts and its cost", async () => {
  const { id, job, result } = await run("good");
  expect(result).toMatchObject({ status: "success", data: { ok: true } });
  expect(job).toMatchObject({ turns: 1, session_id: expect.stringMatching(/^session-\d+$/) });
  expect(job.usage).toEqual({
    input_tokens: 1000,
    cached_input_tokens: 100,
    output_tokens: 50,
    reasoning_output_tokens: 10,
    cost_usd: 0.5,
  });
  const reasoning = (await history(id)).filter(
    (event: { type: string }) => event.type === "assistant.reasoning",
  );
  expect(reasoning).toMatchObject([{ data: { text: "I think so." } }]);
});

test("a tool is permitted once, and told with its command and its end", async () => {
  const { id, result } = await run("works");
  expect(result).toMatchObject({ status: "success", artifacts: ["artifacts/report.md"] });
  const told = (await history(id)).filter(
    (event: { type: string }) => event.type === "assistant.command_execution",
  );
  expect(told).toMatchObject([
    { data: { phase: "started", tool: "shell", input: { command: "echo hi" } } },
    { data: { phase: "completed", text: "hi", exit_code: 0, failed: false } },
  ]);
});

describe("repair turns", () => {
  test("go on with the session; what it retells is not taken for the answer", async () => {
    const { job, result } = await run("bad-first");
    expect(result).toMatchObject({ status: "success", data: { ok: true } });
    expect(job.turns).toBe(2);
    const [first, second] = await prompts("bad-first");
    expect(first.text).toContain('Use the skill "plain": read .agents/skills/plain/SKILL.md');
    expect(second.text).toContain("last answer cannot be accepted");
  });

  test("are left out where a session dies with its process", async () => {
    const { job } = await run("cannot-load");
    expect(job).toMatchObject({
      turns: 1,
      session_id: null,
      error: { code: "OUTPUT_SCHEMA_REPAIR_SKIPPED_NO_SESSION_HANDLE" },
    });
  });

  test("are not believed in a session that knows nothing", async () => {
    expect((await run("forgets")).job.error).toMatchObject({ code: "SESSION_RESUME_FAILED" });
  });
});

describe("models", () => {
  test("are set in the session, with the provider before the name", async () => {
    await run("good", { model: "m-1", provider_id: "hub" });
    expect((await prompts("good")).at(-1)).toMatchObject({ model: "llm=hub/m-1" });
  });

  test("are named as an argument where the definition has one", async () => {
    await run("by-argument", { model: "m-2" });
    expect((await prompts("good")).at(-1)).toMatchObject({ args: ["--acp", "--model", "m-2"], model: null });
  });

  test("that are unknown fail the run", async () => {
    expect((await run("good", { model: "nope" })).job.error).toMatchObject({
      code: "MODEL_ERROR",
      message: "There is no model nope",
    });
  });
});

describe("what goes wrong", () => {
  test.each([
    ["exits-3", "PROCESS_EXIT_NONZERO", /code 3/],
    ["exits-0", "AGENT_OUTPUT_MISSING", /without an answer/],
    ["asks-auth", "AUTH_REQUIRED", /^Authentication required/],
    ["old-version", "AGENT_FAILED", /protocol: it speaks version 0, not 1/],
    ["no-session", "AGENT_FAILED", /broke its protocol: its answer to session\/new cannot be used/],
    ["max-tokens", "MODEL_ERROR", /max_tokens/],
    ["model-error", "MODEL_ERROR", /the model is on fire/],
  ])("%s: %s", async (act, code, message) => {
    const { job } = await run(act);
    expect(job.error).toMatchObject({ code, message: expect.stringMatching(message) });
  });

  test("an agent that prints what is no message is understood all the same", async () => {
    expect((await run("noisy")).result).toMatchObject({ status: "success", data: { ok: true } });
  });

  test("an agent that asks for it is authenticated with, where the definition says how", async () => {
    expect((await run("logs-in")).result).toMatchObject({ status: "success" });
  });

  test("endless silence ends with the hard timeout", async () => {
    const { job } = await run("silent", { runtime_options: { no_cache: true, hard_timeout_seconds: 1 } });
    expect(job.error).toMatchObject({ code: "TIMEOUT" });
  });

  test("cancelling ends an agent that answers neither to the protocol nor to TERM", async () => {
    const { body } = await server.submit({ skill_id: "plain", engine: "stubborn" });
    const id: string = body.request_id;
    while ((await prompts("stubborn").catch(() => [])).length === 0) await sleep(20);
    const canceled = await server.call(cancelJob, { params: { request_id: id }, method: "POST" });
    expect(canceled.body).toMatchObject({ status: "canceled", accepted: true });
  });
});
