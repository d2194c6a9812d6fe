import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import postUpload from "../../functions/v1/jobs/[request_id]/upload.post.ts";
import postJob from "../../functions/v1/jobs/index.post.ts";
import { makeZip } from "../../lib/archives/zip-fixture.ts";
import { type Harness, type HarnessOptions, plainPackage, startHarness } from "../harness.ts";
import { answering } from "../stand-in.ts";

let harness: Harness;
afterEach(() => harness.close());

async function start(options: HarnessOptions = {}): Promise<void> {
  harness = await startHarness({ scenario: [{ lines: answering({ ok: true }) }], ...options });
  await harness.writeSkill("s", plainPackage("s"));
}
const fresh = { skill_id: "s", runtime_options: { no_cache: true } };
const send = (key: string, body: object = fresh) =>
  harness.call(postJob, { body, headers: { "idempotency-key": key } });
const jobs = async (): Promise<string[]> => {
  const { jobs } = await harness.services.runs.page({ limit: 200, filter: {} });
  return jobs.map(({ request_id }) => request_id);
};
const keys = async () => {
  const files = await readdir(join(harness.config.dataDir, "state", "idempotency"), {
    recursive: true,
    withFileTypes: true,
  }).catch(() => []);
  return files.filter((file) => file.isFile()).length;
};

describe("the same request under the same key", () => {
  test("makes one job, and gets the same answer while it runs and when it has ended", async () => {
    await start({ scenario: [{ onCue: true }] });
    const first = await send("k");
    expect(first).toMatchObject({ status: 200, body: { status: "queued", cache_hit: false } });
    const { request_id: id } = first.body;
    await harness.reaches(id, "running");
    expect((await send("k")).body).toEqual(first.body);
    await harness.cue(id, { lines: answering({ ok: true }) });
    await harness.ended(id);
    expect((await send("k")).body).toEqual(first.body);
    expect(await jobs()).toEqual([id]);
  });

  test("makes one job, also when it comes 20 times at once", async () => {
    await start();
    const answers = await Promise.all(Array.from({ length: 20 }, () => send("k")));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(new Set(answers.map(({ body }) => body.request_id)).size).toBe(1);
    expect(await jobs()).toHaveLength(1);
    await harness.ended(answers[0]?.body.request_id);
    expect(await harness.calls()).toHaveLength(1);
  });

  test("may have its fields in another order, what is the default written out, and its key quoted", async () => {
    await start();
    const { body } = await send("k", { skill_id: "s", parameter: {}, runtime_options: { no_cache: true } });
    const same = await send('"k"', {
      runtime_options: { no_cache: true },
      engine: "codex",
      skill_id: "s",
      input: {},
    });
    expect(same.body).toEqual(body);
    await harness.ended(body.request_id);
  });

  test.each(["restart", "crash"] as const)("makes one job over a %s", async (how) => {
    await start();
    const { body } = await send("k");
    await harness.ended(body.request_id);
    await harness[how]();
    expect((await send("k")).body).toEqual(body);
    expect(await jobs()).toEqual([body.request_id]);
  });

  test("gets the same answer when the job waits for its files, and when it has them", async () => {
    await start({
      scenario: [
        {
          lines: answering({ title: "T", key_points: ["a"], report: "artifacts/report.md" }),
          files: { "artifacts/report.md": "# R" },
        },
      ],
    });
    const ask = (key: string) => send(key, { skill_id: "report-from-file" });
    const zip = makeZip([{ name: "source.md", content: "# Facts\n" }]);
    for (const [key, hit] of [
      ["first", false],
      ["answered from the cache", true],
    ] as const) {
      const { body } = await ask(key);
      expect(body).toMatchObject({ status: null, cache_hit: false });
      expect((await ask(key)).body).toEqual(body);
      const uploaded = await uploadTo(body.request_id, zip);
      expect(uploaded.body).toMatchObject({ cache_hit: hit });
      await harness.ended(body.request_id);
      expect((await ask(key)).body, key).toEqual(body);
    }
  });

  test("is answered from the cache only when it was so the first time", async () => {
    await start();
    const cacheable = { skill_id: "s" };
    const { body: first } = await send("a", cacheable);
    await harness.ended(first.request_id);
    const { body: second } = await send("b", cacheable);
    expect(second).toMatchObject({ cache_hit: true, status: "succeeded" });
    expect((await send("a", cacheable)).body).toEqual(first);
    expect((await send("b", cacheable)).body).toEqual(second);
  });
});

describe("another request under the same key", () => {
  test.each<[what: string, other: object]>([
    ["parameter", { ...fresh, parameter: { a: 1 } }],
    ["option", { skill_id: "s" }],
    ["priority", { ...fresh, runtime_options: { no_cache: true, priority: 1 } }],
    ["variable", { ...fresh, runtime_options: { no_cache: true, env: { TOKEN: "b" } } }],
    ["skill, one that is not there", { ...fresh, skill_id: "nope" }],
  ])("with another %s is refused, and makes nothing", async (_what, other) => {
    await start();
    const { body } = await send("k");
    expect(await send("k", other)).toMatchObject({
      status: 422,
      body: { code: "IDEMPOTENCY_KEY_REUSED" },
    });
    expect(await jobs()).toEqual([body.request_id]);
    await harness.ended(body.request_id);
  });

  test("at the same time makes one job of the two", async () => {
    await start();
    const answers = await Promise.all([send("k"), send("k", { skill_id: "s" })]);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 422]);
    expect(await jobs()).toHaveLength(1);
    await harness.ended((await jobs())[0] ?? "");
  });
});

describe("a key is free again", () => {
  test("when its request was refused for what it asks", async () => {
    await start();
    expect((await send("k", { skill_id: "nope" })).body.code).toBe("SKILL_NOT_FOUND");
    expect(await keys()).toBe(0);
    const { status, body } = await send("k");
    expect(status).toBe(200);
    await harness.ended(body.request_id);
  });

  test("when its request was refused as the queue was full", async () => {
    await start({
      scenario: [{ onCue: true }],
      env: {
        SKILL_RUNNER_MAX_CONCURRENT_HARD_CAP: "1",
        SKILL_RUNNER_MAX_QUEUE_SIZE: "1",
        SKILL_RUNNER_SHUTDOWN_GRACE_SECONDS: "0",
      },
    });
    const [first, second] = [await send("a"), await send("b")];
    expect(second?.status).toBe(200);
    await harness.reaches(first?.body.request_id, "running");
    expect(await send("k")).toMatchObject({ status: 429, body: { code: "QUEUE_FULL" } });
    // A request that made its job is answered however full the queue is.
    expect((await send("b")).body).toEqual(second?.body);
    await harness.cue(first?.body.request_id, { lines: answering({ ok: true }) });
    await harness.reaches(second?.body.request_id, "running");
    expect(await send("k")).toMatchObject({ status: 200, body: { status: "queued" } });
  });

  test("when its job is deleted", async () => {
    await start();
    const { body } = await send("k");
    await harness.ended(body.request_id);
    expect((await harness.remove(body.request_id)).status).toBe(204);
    const again = await send("k", { skill_id: "s" });
    expect(again.status).toBe(200);
    expect(again.body.request_id).not.toBe(body.request_id);
    await harness.ended(again.body.request_id);
  });

  test("and its row is swept when its job is gone and it is a day old, not before", async () => {
    await start();
    const kept = (await send("kept")).body.request_id;
    const gone = (await send("gone")).body.request_id;
    await harness.ended(kept);
    await harness.ended(gone);
    await harness.remove(gone);
    const inHours = (hours: number) => new Date(Date.now() + hours * 3_600_000);
    await harness.services.runs.dropExpired(inHours(23));
    expect(await keys()).toBe(2);
    await harness.services.runs.dropExpired(inHours(25));
    expect(await keys()).toBe(1);
    expect((await send("kept")).body.request_id).toBe(kept);
  });
});

test.each(["", " ", '""', "x".repeat(256), "tab\tinside", "é"])("a key like %j is refused", async (key) => {
  await start();
  const answer = await send(key);
  expect(answer).toMatchObject({ status: 422, body: { code: "REQUEST_INVALID" } });
  expect(answer.body.errors).toMatchObject([{ pointer: "/header/idempotency-key" }]);
  expect(await jobs()).toEqual([]);
});

async function uploadTo(id: string, zip: Buffer) {
  const body = new FormData();
  body.append("file", new Blob([Uint8Array.from(zip)]), "f.zip");
  return harness.call(postUpload, { params: { request_id: id }, body });
}
