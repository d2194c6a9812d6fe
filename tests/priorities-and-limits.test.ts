import { existsSync } from "node:fs";
import { afterEach, describe, expect, test } from "vitest";
import postUpload from "../functions/v1/jobs/[request_id]/upload.post.ts";
import getCapacity from "../functions/v1/system/capacity.get.ts";
import { readConfig } from "../runtime/config.ts";
import { createServices } from "../runtime/services.ts";
import { type Harness, plainPackage, startHarness } from "./harness.ts";
import { packageZip } from "./package-zip.ts";
import { answering } from "./stand-in.ts";

let harness: Harness | undefined;
afterEach(() => harness?.close());

/** A server with so many slots, whose agents wait for their cue, and with two skills. */
async function start(slots: number, env: Record<string, string> = {}): Promise<Harness> {
  harness = await startHarness({
    scenario: [{ onCue: true }],
    env: {
      SKILL_RUNNER_MAX_CONCURRENT_HARD_CAP: `${slots}`,
      SKILL_RUNNER_SHUTDOWN_GRACE_SECONDS: "0",
      // What else the machine does is not the matter here.
      SKILL_RUNNER_CPU_FACTOR: "16",
      SKILL_RUNNER_MEM_RESERVE_MB: "0",
      SKILL_RUNNER_ESTIMATED_MEM_PER_RUN_MB: "1",
      ...env,
    },
  });
  await harness.writeSkill("s", plainPackage("s"));
  await harness.writeSkill("t", plainPackage("t"));
  return harness;
}

async function send(server: Harness, skill_id: string, options: object = {}): Promise<string> {
  const { status, body } = await server.submit({
    skill_id,
    runtime_options: { no_cache: true, ...options },
  });
  expect({ status, body }).toMatchObject({ status: 200, body: { status: "queued" } });
  return body.request_id;
}

const done = { lines: answering({ ok: true }) };
const statuses = (server: Harness, ids: string[]) =>
  Promise.all(ids.map(async (id) => (await server.status(id)).status));
const capacity = async (server: Harness) => (await server.call(getCapacity)).body;

/** Ends these jobs one after the other, each when it runs, and checks that it is the only one that does. */
async function expectServed(server: Harness, ids: string[]): Promise<void> {
  for (const [index, id] of ids.entries()) {
    await server.reaches(id, "running");
    const behind = ids.slice(index + 1);
    expect(await statuses(server, behind)).toEqual(behind.map(() => "queued"));
    await server.cue(id, done);
    await server.ended(id);
  }
}

describe("priority", () => {
  test("decides which of the waiting jobs is next, then age does", async () => {
    const server = await start(1);
    const running = await send(server, "s", { priority: 10 });
    await server.reaches(running, "running");
    const last = await send(server, "s", { priority: 10 });
    const usual = await send(server, "s");
    const urgent = await send(server, "s", { priority: 1 });
    const usualToo = await send(server, "s", { priority: 5 });
    expect((await server.status(usual)).priority).toBe(5);
    expect((await server.status(urgent)).priority).toBe(1);
    await expectServed(server, [running, urgent, usual, usualToo, last]);
  });

  test("decides after a restart too, which gave the job that ran back to the queue", async () => {
    const server = await start(1);
    const running = await send(server, "s");
    await server.reaches(running, "running");
    const last = await send(server, "s", { priority: 9 });
    const urgent = await send(server, "s", { priority: 1 });
    await server.restart();
    await expectServed(server, [urgent, running, last]);
  });

  test("may be preset by the skill, and be another in the request", async () => {
    const server = await start(1);
    await server.writeSkill(
      "s",
      plainPackage("s", { version: "1.0.1", runtime: { default_options: { priority: 8 } } }),
    );
    const ids = [await send(server, "s"), await send(server, "s", { priority: 2 })];
    const told = await Promise.all(ids.map(async (id) => (await server.status(id)).priority));
    expect(told).toEqual([8, 2]);
  });

  test("changes nothing about the answer: it comes from the cache", async () => {
    const server = await start(1);
    await server.scenario([done]);
    const first = (await server.submit({ skill_id: "s", runtime_options: { priority: 1 } })).body;
    await server.ended(first.request_id);
    const again = (await server.submit({ skill_id: "s", runtime_options: { priority: 9 } })).body;
    expect(again).toMatchObject({ cache_hit: true, status: "succeeded" });
  });
});

describe("a limit", () => {
  test("of a skill holds back its jobs alone, however urgent they are", async () => {
    const server = await start(3, { SKILL_RUNNER_SKILL_LIMITS: "s=1,never-there=4" });
    const first = await send(server, "s");
    const second = await send(server, "s", { priority: 1 });
    const others = [await send(server, "t"), await send(server, "t", { priority: 10 })];
    for (const id of [first, ...others]) await server.reaches(id, "running");
    expect((await server.status(second)).status).toBe("queued");
    expect(await capacity(server)).toMatchObject({
      running: 3,
      queued: 1,
      limits: {
        engines: {},
        skills: { s: { limit: 1, running: 1 }, "never-there": { limit: 4, running: 0 } },
      },
    });
    await server.cue(first, done);
    await server.reaches(second, "running");
    for (const id of [second, ...others]) {
      await server.cue(id, done);
      await server.ended(id);
    }
    await server.services.capacity.gate.onIdle();
    expect((await capacity(server)).limits.skills.s).toEqual({ limit: 1, running: 0 });
  });

  test("of an engine counts its jobs of every skill", async () => {
    const server = await start(3, { SKILL_RUNNER_ENGINE_LIMITS: "codex=2" });
    const ids = [await send(server, "s"), await send(server, "t"), await send(server, "s")];
    for (const id of ids.slice(0, 2)) await server.reaches(id, "running");
    expect(await statuses(server, ids)).toEqual(["running", "running", "queued"]);
    expect((await capacity(server)).limits.engines).toEqual({ codex: { limit: 2, running: 2 } });
    for (const id of ids) {
      await server.reaches(id, "running");
      await server.cue(id, done);
    }
  });

  test("of a skill counts a temporary one of that name, which is known with its upload", async () => {
    const server = await start(3, { SKILL_RUNNER_SKILL_LIMITS: "s=1" });
    const running = await send(server, "s");
    await server.reaches(running, "running");
    const { body: made } = await server.submit({
      skill_source: "temp_upload",
      runtime_options: { no_cache: true },
    });
    const form = new FormData();
    const zip = packageZip("s", plainPackage("s"));
    form.append("skill_package", new Blob([Uint8Array.from(zip)]), "s.zip");
    const { body: accepted } = await server.call(postUpload, {
      params: { request_id: made.request_id },
      body: form,
    });
    expect(accepted).toMatchObject({ request_id: made.request_id, status: "queued" });
    const other = await send(server, "t");
    await server.reaches(other, "running");
    expect((await server.status(made.request_id)).status).toBe("queued");
    await server.cue(running, done);
    await server.reaches(made.request_id, "running");
  });

  test("of an engine that there is not keeps the server from starting, before it has made anything", async () => {
    harness = undefined;
    const config = readConfig({ SKILL_RUNNER_ENGINE_LIMITS: "codx=1" }, "/nowhere");
    const log = { info() {}, warn() {}, error() {} };
    const starting = createServices({ config, environment: {}, log, openApiDocument: async () => ({}) });
    await expect(starting).rejects.toThrow(
      /^These environment variables cannot be used:\n {2}SKILL_RUNNER_ENGINE_LIMITS: there is no engine "codx"; known engines: codex, /,
    );
    expect(existsSync("/nowhere")).toBe(false);
  });
});
