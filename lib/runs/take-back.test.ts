import { afterEach, expect, test, vi } from "vitest";
import { createRecordStore, memoryDriver } from "../storage/index.ts";
import { recordOf } from "./record.test-support.ts";
import { createRunStore } from "./run-store.ts";
import { takeBack } from "./take-back.ts";

afterEach(() => {
  vi.useRealTimers();
});

test("a job that the storage took without saying so is seen by nobody, and goes when the storage is back", async () => {
  vi.useFakeTimers();
  const stored = createRecordStore(memoryDriver());
  let isAway = false;
  const away = async () => {
    if (isAway) throw new Error("away");
  };
  const store = createRunStore({
    ...stored,
    async write(key, value) {
      await stored.write(key, value);
      await away();
    },
    remove: (key) => away().then(() => stored.remove(key)),
  });
  const run = recordOf("queued");
  isAway = true;
  await expect(store.create(run)).rejects.toThrow("away");
  const warn = vi.fn();
  const forgotten: string[] = [];
  const secrets = { forget: async (id: string) => void forgotten.push(id) };
  // Takes a run back by these parts and no other.
  await takeBack({ store, secrets, accepting: () => true, log: { warn } } as never, run);
  expect(warn).toHaveBeenCalledOnce();
  await expect(store.get(run.request_id)).rejects.toMatchObject({ code: "JOB_NOT_FOUND" });
  expect((await store.page({ limit: 10 })).runs).toEqual([]);
  expect(forgotten).toEqual([]);
  isAway = false;
  await vi.advanceTimersByTimeAsync(6_000);
  expect(forgotten).toEqual([run.request_id]);
  expect(await stored.children("active")).toEqual([]);
});
