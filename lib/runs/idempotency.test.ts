import { expect, test } from "vitest";
import { RunnerError } from "../errors.ts";
import { createRecordStore, memoryDriver } from "../storage/index.ts";
import { createIdempotency } from "./idempotency.ts";
import { createKeyedLock } from "./keyed-lock.ts";
import { recordOf } from "./record.test-support.ts";

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
