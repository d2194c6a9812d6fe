import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test, vi } from "vitest";
import { makeZip } from "../../lib/archives/zip-fixture.ts";
import type { HarnessOptions } from "../harness.ts";
import { answering } from "../stand-in.ts";
import { expectProblem, type HttpServer, startHttp } from "./http-server.ts";

let server: HttpServer;
afterEach(async () => {
  vi.useRealTimers();
  await server.close();
});

const quick = [
  { lines: answering({ ok: true, report: "artifacts/r.md" }), files: { "artifacts/r.md": "# R" } },
];
async function start(options: HarnessOptions = {}): Promise<void> {
  server = await startHttp({ scenario: quick, ...options });
}
const fresh = { skill_id: "s", runtime_options: { no_cache: true } };
const remove = (id: string) => server.send("DELETE", `/v1/jobs/${id}`);
const cancel = (id: string) => server.send("POST", `/v1/jobs/${id}/cancel`);
const list = async (): Promise<string[]> =>
  (await server.get("/v1/jobs?limit=200")).body.jobs.map((job: { request_id: string }) => job.request_id);
const running = async (id: string) => {
  while ((await server.get(`/v1/jobs/${id}`)).body.status !== "running") await sleep(10);
};
const mentions = async (id: string) => (await server.stored()).filter((path) => path.includes(id));

describe("DELETE", () => {
  test("of an ended job leaves no trace of it", async () => {
    await start();
    const id = await server.done(fresh);
    const { workspaceDir } = (await server.get(`/v1/jobs/${id}`)).body;
    const answer = await remove(id);
    expect([answer.status, answer.bytes.length]).toEqual([204, 0]);
    expect(existsSync(join(server.harness.config.dataDir, workspaceDir))).toBe(false);
    expect(await mentions(id)).toEqual([]);
    expect(await list()).toEqual([]);
    for (const { method, template } of server.routes.filter((route) =>
      route.template.startsWith("/v1/jobs/{request_id}"),
    )) {
      const path = template.replace("{request_id}", id).replace("{path}", "artifacts/r.md");
      // The one that reads a body before it looks for the job.
      const sent = template.endsWith("/reply") ? { body: { interaction_id: 1, response: "x" } } : {};
      expectProblem(await server.send(method.toUpperCase(), path, sent), 404, "JOB_NOT_FOUND");
    }
    expect(server.faults).toEqual([]);
  });

  test("works from the moment that the end is told", async () => {
    await start();
    for (let round = 0; round < 5; round++) {
      const id = await server.job(fresh);
      while ((await server.get(`/v1/jobs/${id}`)).body.status !== "succeeded");
      expect((await remove(id)).status).toBe(204);
    }
  });

  test("is refused while the job is in progress, and does it no harm", async () => {
    await start({
      env: { SKILL_RUNNER_MAX_CONCURRENT_HARD_CAP: "1" },
      scenario: [{ lines: answering({ ok: true }), waitBefore: 500 }],
    });
    const ids = [await server.job(fresh), await server.job(fresh)];
    await running(ids[0] ?? "");
    for (const id of ids) expectProblem(await remove(id), 409, "JOB_STATE_CONFLICT");
    for (const id of ids) expect((await server.harness.ended(id)).status).toBe("succeeded");
  });

  test("takes a job that waits for its files, and the variables kept for it", async () => {
    await start();
    const id = await server.job({ skill_id: "report-from-file", runtime_options: { env: { A: "secret" } } });
    expect(await mentions(id)).not.toEqual([]);
    expect((await remove(id)).status).toBe(204);
    expect(await mentions(id)).toEqual([]);
    expectProblem(await server.upload(id, makeZip([{ name: "source.md" }])), 404, "JOB_NOT_FOUND");
  });

  test("of the job that an answer was remembered from makes the server ask again", async () => {
    await start();
    const first = await server.done({ skill_id: "s" });
    const hit = (await server.send("POST", "/v1/jobs", { body: { skill_id: "s" } })).body;
    expect(hit).toMatchObject({ cache_hit: true, status: "succeeded" });
    expect((await mentions(hit.request_id)).filter((path) => path.includes("/active/"))).toEqual([]);
    await remove(first);
    const again = (await server.send("POST", "/v1/jobs", { body: { skill_id: "s" } })).body;
    expect(again).toMatchObject({ cache_hit: false, status: "queued" });
    await server.harness.ended(again.request_id);
  });

  test("of one job twice at once succeeds once", async () => {
    await start();
    const id = await server.done(fresh);
    const answers = await Promise.all([remove(id), remove(id), remove(id)]);
    expect(answers.map((answer) => answer.status).sort()).toEqual([204, 404, 404]);
  });
});

describe("cancel", () => {
  test("of a job that waits for its files ends it", async () => {
    await start();
    const id = await server.job({ skill_id: "report-from-file", runtime_options: { env: { A: "secret" } } });
    expect((await cancel(id)).body).toMatchObject({ run_id: id, status: "canceled", accepted: true });
    expect((await cancel(id)).body).toMatchObject({ status: "canceled", accepted: false });
    expect((await server.get(`/v1/jobs/${id}`)).body).toMatchObject({
      status: "canceled",
      upload_required: false,
    });
    expect((await mentions(id)).filter((path) => /secrets|active/.test(path))).toEqual([]);
    const { events } = (await server.get(`/v1/jobs/${id}/events/history`)).body;
    expect(events).toMatchObject([{ seq: 1, data: { from: "created", to: "canceled" } }]);
    expect((await remove(id)).status).toBe(204);
  });
});

describe("cleanup", () => {
  const cleanUp = async () => (await server.send("POST", "/v1/jobs/cleanup")).body;

  test("removes what is not in progress, forgets the answers, and counts both", async () => {
    await start({ env: { SKILL_RUNNER_MAX_CONCURRENT_HARD_CAP: "1" } });
    expect(await cleanUp()).toEqual({
      runs_deleted: 0,
      requests_deleted: 0,
      cache_entries_deleted: 0,
      runs_kept: 0,
    });
    await server.done({ skill_id: "s" });
    await server.job({ skill_id: "s" });
    await server.job({ skill_id: "report-from-file" });
    await server.harness.scenario([{ lines: answering({ ok: true }), waitBefore: 700 }]);
    const kept = [await server.job(fresh), await server.job(fresh)];
    await running(kept[0] ?? "");
    expect(await cleanUp()).toEqual({
      runs_deleted: 1,
      requests_deleted: 3,
      cache_entries_deleted: 1,
      runs_kept: 2,
    });
    expect((await list()).sort()).toEqual([...kept].sort());
    for (const id of kept) expect((await server.harness.ended(id)).status).toBe("succeeded");
    expect(await server.send("POST", "/v1/jobs", { body: { skill_id: "s" } })).toMatchObject({
      body: { cache_hit: false },
    });
  });
});

describe("retention", () => {
  const day = 86_400_000;
  const waiting = () => server.job({ skill_id: "report-from-file" });
  const onDay = async (time: Date, make: () => Promise<string>) => {
    vi.useFakeTimers({ toFake: ["Date"], now: time });
    try {
      return await make();
    } finally {
      vi.useRealTimers();
    }
  };
  const folders = async (of: string) => readdir(join(server.harness.config.dataDir, of)).catch(() => []);

  test("drops whole days that are older, and nothing else", async () => {
    await start({ env: { SKILL_RUNNER_RETENTION_DAYS: "3" } });
    const noon = new Date(`${new Date().toISOString().slice(0, 10)}T12:00:00Z`).getTime();
    const ids: string[] = [];
    for (const age of [9, 4, 3, 2, 0]) {
      const id = await onDay(new Date(noon - age * day), waiting);
      await cancel(id);
      ids.push(id);
    }
    const [nine, four, ...young] = ids;
    expect(await server.harness.services.runs.dropExpired(new Date(noon))).toBe(2);
    expect((await list()).sort()).toEqual(young.sort());
    for (const id of [nine, four]) expect(await mentions(id ?? "")).toEqual([]);
    const kept = [3, 2, 0].map((age) => new Date(noon - age * day).toISOString().slice(0, 10)).sort();
    expect(await folders("state/runs")).toEqual(kept);
    expect(await folders("runs")).toEqual(kept);
    expect(await server.harness.services.runs.dropExpired(new Date(noon))).toBe(0);
  });

  test("spares a job in progress, however old, and drops the days after it", async () => {
    await start({
      env: { SKILL_RUNNER_RETENTION_DAYS: "3" },
      scenario: [{ lines: answering({ ok: true }), waitBefore: 700 }],
    });
    const long = await onDay(new Date(Date.now() - 9 * day), () => server.job(fresh));
    const dayOfLong = new Date(Date.now() - 9 * day).toISOString().slice(0, 10);
    await onDay(new Date(Date.now() - 8 * day), waiting);
    await cancel(await onDay(new Date(Date.now() - 8 * day), waiting));
    expect(await folders("state/runs")).toHaveLength(1);
    expect(await server.harness.services.runs.dropExpired()).toBe(2);
    expect(await list()).toEqual([long]);
    expect(await folders("state/runs")).toEqual([]);
    expect(await folders("runs")).toEqual([dayOfLong]);
    expect((await server.harness.ended(long)).status).toBe("succeeded");
  });

  test("in the far future drops all that has ended; of 0 days, nothing ever", async () => {
    await start({ env: { SKILL_RUNNER_RETENTION_DAYS: "1" } });
    await server.done(fresh);
    expect(await server.harness.services.runs.dropExpired(new Date(Date.now() + 30 * day))).toBe(1);
    expect(await list()).toEqual([]);
    await server.close();
    await start({ env: { SKILL_RUNNER_RETENTION_DAYS: "0" } });
    const id = await server.done(fresh);
    expect(await server.harness.services.runs.dropExpired(new Date(Date.now() + 30_000 * day))).toBe(0);
    expect(await list()).toEqual([id]);
  });
});
