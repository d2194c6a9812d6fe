import { spawnSync } from "node:child_process";
import { cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { processesOf } from "./marked-processes.ts";
import { type RunningServer, startBuiltServer } from "./server-process.ts";
import { answering, installStandIn, type Scenario, setScenario, thread } from "./stand-in.ts";

const root = join(import.meta.dirname, "..");
let folder: string;
let server: RunningServer | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "process-"));
  await cp(join(root, "skills"), join(folder, "skills"), { recursive: true });
});
afterEach(async () => {
  await server?.crash();
  server = undefined;
  await rm(folder, { recursive: true, force: true });
});

async function start(env: Record<string, string> = {}): Promise<RunningServer> {
  server = await startBuiltServer({
    HOME: folder,
    SKILL_RUNNER_DATA_DIR: join(folder, "data"),
    SKILL_RUNNER_SKILLS_DIR: join(folder, "skills"),
    NPM_CONFIG_PREFIX: join(folder, "npm"),
    SKILL_RUNNER_MAX_CONCURRENT_HARD_CAP: "1",
    // The stand-in writes down what it was called with beside itself.
    SKILL_RUNNER_SANDBOX: "off",
    ...env,
  });
  return server;
}

const scenario = (waitBefore: number): Scenario => [{ lines: answering("An old silent pond"), waitBefore }];
const send = async (at: RunningServer, prompt: string): Promise<string> => {
  const { status, body } = await at.json("POST", "/v1/jobs", { skill_id: "haiku", input: { prompt } });
  expect(status).toBe(200);
  return body.request_id;
};
const job = async (at: RunningServer, id: string) => (await at.json("GET", `/v1/jobs/${id}`)).body;
async function until(at: RunningServer, id: string, statuses: string[]) {
  for (let tries = 0; tries < 500; tries++) {
    const now = await job(at, id);
    if (statuses.includes(now.status)) return now;
    await sleep(20);
  }
  throw new Error(`job ${id} never became ${statuses}: ${JSON.stringify(await job(at, id))}`);
}
const ended = ["succeeded", "failed", "canceled"];

describe("kill -9 and a restart", () => {
  const midway = answering({}).slice(0, 3);
  const finalAnswer = answering("An old silent pond");

  test("queued jobs go on, the running one in its agent's session; no agent is left, nothing is lost", async () => {
    await installStandIn(join(folder, "npm"), [
      { lines: midway, waitAfter: 60_000, leaveChild: true },
      { lines: finalAnswer },
    ]);
    const first = await start();
    const running = await send(first, "one");
    const history = async (at: RunningServer) =>
      (await at.json("GET", `/v1/jobs/${running}/events/history`)).body.events;
    await expect.poll(async () => (await history(first)).length).toBeGreaterThan(1);
    await setScenario(join(folder, "npm"), [{ lines: finalAnswer }]);
    const queued = await Promise.all(["two", "three", "four"].map((prompt) => send(first, prompt)));
    const before = await history(first);
    const agents = await processesOf(running);
    expect(agents.length).toBeGreaterThan(1);
    await first.crash();
    const second = await start();
    const after = await processesOf(running);
    expect(agents.filter((pid) => after.includes(pid))).toEqual([]);
    for (const id of queued)
      expect(await until(second, id, ended)).toMatchObject({ status: "succeeded", current_attempt: 1 });
    expect(await until(second, running, ended)).toMatchObject({
      status: "succeeded",
      current_attempt: 2,
      turns: 2,
      recovery_state: "requeued",
    });
    const calls = (await readFile(join(folder, "npm/calls.jsonl"), "utf8")).trim().split("\n");
    const resumed = calls.map((line) => JSON.parse(line).args).filter((args) => args.includes("resume"));
    expect(resumed).toEqual([expect.arrayContaining(["resume", thread])]);
    const { body } = await second.json("GET", "/v1/jobs?limit=50");
    expect(body.jobs.map((entry: { request_id: string }) => entry.request_id).sort()).toEqual(
      [running, ...queued].sort(),
    );
    const events = await history(second);
    expect(events.slice(0, before.length)).toEqual(before);
    expect(events.map((event: { seq: number }) => event.seq)).toEqual(
      events.map((_: unknown, at: number) => at + 1),
    );
  });

  test("a job whose agent had not begun is begun again; one that brings the server down is given up", async () => {
    await installStandIn(join(folder, "npm"), [{ lines: finalAnswer, waitBefore: 60_000 }]);
    let id = "";
    for (let crash = 0; crash < 3; crash++) {
      const at = await start();
      if (id === "") id = await send(at, "one");
      await expect.poll(async () => (await processesOf(id)).length).toBeGreaterThan(0);
      await at.crash();
    }
    expect(await until(await start(), id, ended)).toMatchObject({
      status: "failed",
      error: { code: "ORCHESTRATOR_RESTART_INTERRUPTED" },
      recovery_state: "failed_reconciled",
      current_attempt: 3,
    });
    expect(await processesOf(id)).toEqual([]);
  });
});

describe("SIGTERM", () => {
  test("lets a running job end within the grace time, keeps the queued one, and exits with 0", async () => {
    await installStandIn(join(folder, "npm"), scenario(400));
    const first = await start();
    const running = await send(first, "one");
    await until(first, running, ["running"]);
    const queued = await send(first, "two");
    expect(await first.stop()).toBe(0);
    const second = await start();
    expect(await job(second, running)).toMatchObject({ status: "succeeded" });
    expect(await until(second, queued, ended)).toMatchObject({ status: "succeeded" });
  });

  test("ends what does not, and the next start goes on with it in its agent's session", async () => {
    await installStandIn(join(folder, "npm"), [
      { lines: answering({}).slice(0, 3), waitAfter: 60_000 },
      { lines: answering("An old silent pond") },
    ]);
    const first = await start({ SKILL_RUNNER_SHUTDOWN_GRACE_SECONDS: "1" });
    const id = await send(first, "one");
    await expect
      .poll(async () => (await first.json("GET", `/v1/jobs/${id}/events/history`)).body.events.length)
      .toBeGreaterThan(1);
    const stopped = first.stop();
    await expect.poll(async () => (await first.json("GET", "/readyz")).status).toBe(503);
    expect(await stopped).toBe(0);
    expect(await processesOf(id)).toEqual([]);
    const second = await start();
    expect(await until(second, id, ended)).toMatchObject({ status: "succeeded", current_attempt: 2 });
    const { events } = (await second.json("GET", `/v1/jobs/${id}/events/history`)).body;
    const triggers = events
      .map((event: { data: { trigger?: string } }) => event.data.trigger)
      .filter(Boolean);
    expect(triggers).toEqual(["turn.started", "run.interrupted", "turn.started", "turn.succeeded"]);
  });
});

describe("a start that cannot work says why", () => {
  const main = join(root, "dist/runtime/main.js");
  const run = (env: Record<string, string>) =>
    spawnSync(process.execPath, [main], {
      encoding: "utf8",
      env: { PATH: process.env.PATH, SKILL_RUNNER_DATA_DIR: folder, ...env },
    });

  test("wrong variables, all at once", () => {
    const { status, stderr } = run({ SKILL_RUNNER_MAX_QUEUE_SIZE: "0", SKILL_RUNNER_CPU_FACTOR: "fast" });
    expect(status).toBe(1);
    expect(stderr).toMatch(/SKILL_RUNNER_MAX_QUEUE_SIZE.*\n.*SKILL_RUNNER_CPU_FACTOR/);
    expect(stderr).not.toContain("    at ");
  });

  test("a port in use", async () => {
    const holder = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => holder.once("listening", resolve));
    const address = holder.address();
    const port = typeof address === "object" && address ? String(address.port) : "";
    const { status, stderr } = run({ PORT: port });
    holder.close();
    expect(status).toBe(1);
    expect(stderr).toMatch(/EADDRINUSE.*PORT/);
  });

  test("a data directory another server works in", async () => {
    const other = await start();
    const { status, stderr } = run({ SKILL_RUNNER_DATA_DIR: join(folder, "data"), PORT: "0" });
    expect(status).toBe(1);
    expect(stderr).toMatch(/^Another server is at work in/);
    expect((await other.json("GET", "/healthz")).status).toBe(200);
  });

  test("a data directory that is a file", () => {
    const { status, stderr } = run({ SKILL_RUNNER_DATA_DIR: main, PORT: "0" });
    expect(status).toBe(1);
    expect(stderr).toMatch(/EEXIST|ENOTDIR/);
  });
});
