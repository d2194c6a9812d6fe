import { describe, expect, test, vi } from "vitest";
import { RunnerError } from "../errors.ts";
import { createRecordStore, memoryDriver, type RecordStore } from "../storage/index.ts";
import { createIdempotency } from "./idempotency.ts";
import { createKeyedLock } from "./keyed-lock.ts";
import { recordOf } from "./record.test-support.ts";
import { PerhapsMade } from "./run-store.ts";

test("a job that cannot be read for the moment is not made again, and keeps its key", async () => {
  let ids = 0;
  const newId = () => `job-${++ids}`;
  const records = createRecordStore(memoryDriver());
  const idempotency = createIdempotency({ isShared: false, records, locked: createKeyedLock(), newId });
  const made: string[] = [];
  let readable = true;
  const store = {
    async get(id: string) {
      if (!readable) throw new RunnerError("STORAGE_FAILED", "No descriptors.");
      if (!made.includes(id)) throw new RunnerError("JOB_NOT_FOUND", "No such job.");
      return recordOf("queued");
    },
  };
  const send = () =>
    idempotency.once("key", { a: 1 }, store, async (id) => {
      made.push(id);
      return { request_id: id, cache_hit: false, status: "queued" };
    });
  await send();
  readable = false;
  await expect(send()).rejects.toMatchObject({ code: "STORAGE_FAILED" });
  const later = new Date(Date.now() + 25 * 3_600_000);
  await idempotency.sweep(store, later).catch(() => undefined);
  readable = true;
  await send();
  expect(made).toEqual(["job-1"]);
});

test("of servers that are sent the same at once, one makes the job, and all answer with it", async () => {
  const records = createRecordStore(memoryDriver());
  const jobs = new Set<string>();
  const store = {
    async get(id: string) {
      if (!jobs.has(id)) throw new RunnerError("JOB_NOT_FOUND", "No such job.");
      return { ...recordOf("queued"), request_id: id };
    },
  };
  let ids = 0;
  const answers = await Promise.all(
    Array.from({ length: 5 }, () => {
      const newId = () => `job-${++ids}`;
      const server = createIdempotency({ isShared: true, records, locked: createKeyedLock(), newId });
      return server.once("key", { a: 1 }, store, async (id) => {
        await new Promise((resolve) => setTimeout(resolve, 50));
        jobs.add(id);
        return { request_id: id, cache_hit: false, status: "queued" };
      });
    }),
  );
  expect(jobs.size).toBe(1);
  expect(new Set(answers.map(({ request_id }) => request_id))).toEqual(jobs);
});

test("a key that a server took before it died makes the job under the same id", async () => {
  const records = createRecordStore(memoryDriver());
  const store = {
    async get(): Promise<never> {
      throw new RunnerError("JOB_NOT_FOUND", "No such job.");
    },
  };
  const parts = { isShared: true, records, locked: createKeyedLock() };
  // It never comes back from making it.
  const dead = createIdempotency({ ...parts, newId: () => "the-job" });
  void dead.once("key", { a: 1 }, store, () => new Promise(() => undefined));
  await new Promise((resolve) => setTimeout(resolve, 20));
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 60_000 });
  const other = createIdempotency({ ...parts, locked: createKeyedLock(), newId: () => "another" });
  const made = await other.once("key", { a: 1 }, store, async (id) => ({
    request_id: id,
    cache_hit: false,
    status: "queued",
  }));
  vi.useRealTimers();
  expect(made.request_id).toBe("the-job");
});

describe("of several servers, one that does not hear whether the storage has the job", () => {
  const storeOf = (jobs: Set<string>) => ({
    async get(id: string) {
      if (!jobs.has(id)) throw new RunnerError("JOB_NOT_FOUND", "No such job.");
      return { ...recordOf("queued"), request_id: id };
    },
  });
  const serverOn = (records: RecordStore, id: string) =>
    createIdempotency({ isShared: true, records, locked: createKeyedLock(), newId: () => id });
  const answerOf = (id: string) => ({ request_id: id, cache_hit: false, status: "queued" as const });
  const unheard = async (): Promise<never> => {
    throw new PerhapsMade(new Error("away"));
  };

  test("leaves its key with it: the same request gets that job from any of them", async () => {
    const records = createRecordStore(memoryDriver());
    const jobs = new Set<string>();
    const first = serverOn(records, "the-job").once("key", { a: 1 }, storeOf(jobs), async (id) => {
      jobs.add(id);
      return unheard();
    });
    await expect(first).rejects.toMatchObject({ code: "STORAGE_FAILED" });
    const second = serverOn(records, "another").once("key", { a: 1 }, storeOf(jobs), unheard);
    expect((await second).request_id).toBe("the-job");
  });

  test("makes another job when the first was deleted", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const records = createRecordStore(memoryDriver());
    const jobs = new Set<string>();
    const send = (id: string) =>
      serverOn(records, id).once("key", { a: 1 }, storeOf(jobs), async (made) => {
        jobs.add(made);
        return answerOf(made);
      });
    expect((await send("first")).request_id).toBe("first");
    expect((await send("other")).request_id).toBe("first");
    jobs.delete("first");
    vi.setSystemTime(Date.now() + 60_000);
    expect((await send("second")).request_id).toBe("second");
    vi.useRealTimers();
  });

  test("has it made under the same id later, and another request under another", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const records = createRecordStore(memoryDriver());
    const store = storeOf(new Set());
    await expect(serverOn(records, "the-job").once("key", { a: 1 }, store, unheard)).rejects.toThrow();
    vi.setSystemTime(Date.now() + 60_000);
    await expect(
      serverOn(records, "another").once("key", { a: 1 }, store, async (id) => {
        expect(id).toBe("the-job");
        return unheard();
      }),
    ).rejects.toThrow();
    vi.setSystemTime(Date.now() + 60_000);
    const other = serverOn(records, "another").once("key", { a: 2 }, store, async (id) => answerOf(id));
    expect((await other).request_id).toBe("another");
    vi.useRealTimers();
  });
});
