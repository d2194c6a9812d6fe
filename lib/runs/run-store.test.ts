import { ulid } from "ulid";
import { beforeEach, describe, expect, test } from "vitest";
import { createRecordStore, memoryDriver, type RecordStore } from "../storage/index.ts";
import { recordOf } from "./record.test-support.ts";
import { createRunStore } from "./run-store.ts";

let records: RecordStore;
beforeEach(() => {
  records = createRecordStore(memoryDriver());
});

describe("one page of runs", () => {
  const minutes = (count: number) => count * 60_000;

  test("mixes what has ended and what has not by age alone, across buckets", async () => {
    const store = createRunStore(records);
    const ids: string[] = [];
    const now = Date.now();
    for (let n = 0; n < 40; n++) {
      const run = recordOf(n % 3 === 0 ? "queued" : "succeeded", ulid(now - minutes(7 * n)));
      await store.create(run);
      ids.push(run.request_id);
    }
    for (const fresh of [store, createRunStore(records)]) {
      const seen: string[] = [];
      let before: string | undefined;
      do {
        const page = await fresh.page({ before, limit: 7 });
        seen.push(...page.runs.map((run) => run.request_id));
        before = page.next ?? undefined;
      } while (before !== undefined);
      expect(seen).toEqual(ids);
    }
  });

  test("shows a run once that a crash left in both places, as it ended", async () => {
    const ended = recordOf("succeeded");
    const store = createRunStore(records);
    await store.create({ ...ended, status: "queued" });
    await store.create(ended);
    const fresh = createRunStore(records);
    expect((await fresh.page({ limit: 5 })).runs).toEqual([ended]);
    expect(await fresh.unfinished()).toEqual([ended.request_id]);
    await fresh.write(ended);
    await fresh.show(ended);
    expect(await fresh.unfinished()).toEqual([]);
    expect(await createRunStore(records).get(ended.request_id)).toEqual(ended);
  });

  test("shows a run once that ends while the page is read", async () => {
    const run = recordOf("running");
    const store = createRunStore(records);
    await store.create(run);
    const slow: RecordStore = {
      ...records,
      async children(prefix) {
        const names = await records.children(prefix);
        if (prefix === "active") {
          await store.write({ ...run, status: "failed" });
          await store.show({ ...run, status: "failed" });
        }
        return names;
      },
    };
    const page = await createRunStore(slow).page({ limit: 5 });
    expect(page.runs.map(({ request_id, status }) => [request_id, status])).toEqual([
      [run.request_id, "failed"],
    ]);
  });
});

test("a run has ended once its end is stored, also when its active record cannot be removed", async () => {
  const run = recordOf("running");
  const full: RecordStore = { ...records, remove: () => Promise.reject(new Error("ENOSPC")) };
  const store = createRunStore(full);
  await store.create(run);
  const ended = { ...run, status: "failed" as const };
  await store.write(ended);
  await store.show(ended);
  expect(await createRunStore(records).get(run.request_id)).toEqual(ended);
});
