import { beforeEach, describe, expect, test } from "vitest";
import type { RunChannel, RunNews } from "../queue/index.ts";
import { createRecordStore, memoryDriver, type RecordStore } from "../storage/index.ts";
import { recordOf } from "./record.test-support.ts";
import { RunTaken } from "./run-store.ts";
import { createSharedRunStore } from "./shared-run-store.ts";

let records: RecordStore;
beforeEach(() => {
  records = createRecordStore(memoryDriver());
});

/** Several servers hear each other through one of these. */
function channelOf(): RunChannel {
  const listeners = new Map<string, Set<(news: RunNews) => void>>();
  return {
    tell: (id, news) => listeners.get(id)?.forEach((listener) => void listener(news)),
    listen(id, listener) {
      listeners.set(id, (listeners.get(id) ?? new Set()).add(listener));
      return () => void listeners.get(id)?.delete(listener);
    },
    close: async () => undefined,
  };
}
const silent: RunChannel = { tell() {}, listen: () => () => undefined, close: async () => undefined };
const heldBy = <T extends object>(holder: string, run: T) => ({ ...run, holder });

describe("a record that several servers store", () => {
  test("is replaced by who has read it last, and by nobody who stands on older ground", async () => {
    const store = createSharedRunStore(records, silent);
    await store.create(recordOf("queued"));
    const [id = ""] = await store.unfinished();
    const [one, two] = [await store.get(id), await store.get(id)];
    await store.write(heldBy("one", { ...one, status: "running" as const, revision: 1 }));
    await expect(
      store.write(heldBy("two", { ...two, status: "running" as const, revision: 1 })),
    ).rejects.toThrow(RunTaken);
    expect(await store.get(id)).toMatchObject({ status: "running", holder: "one" });
    // The one that has it stores it as often as it likes.
    for (const turns of [1, 2, 3])
      await store.jot(heldBy("one", { ...one, status: "running" as const, revision: 1, turns }));
    expect(await store.get(id)).toMatchObject({ turns: 3 });
  });

  test("is removed as it was read, or not at all", async () => {
    const [one, two] = [createSharedRunStore(records, silent), createSharedRunStore(records, silent)];
    await one.create(recordOf("created"));
    const [id = ""] = await one.unfinished();
    const read = await one.get(id);
    await two.write(heldBy("two", { ...(await two.get(id)), status: "queued" as const, revision: 1 }));
    await expect(one.remove(read)).rejects.toThrow(RunTaken);
    expect((await one.get(id)).status).toBe("queued");
    await two.write(heldBy("two", { ...(await two.get(id)), status: "canceled" as const, revision: 2 }));
    await one.remove(await one.get(id));
    await expect(one.get(id)).rejects.toMatchObject({ code: "JOB_NOT_FOUND" });
  });

  test("is taken back by who made it alone, and while nobody has touched it", async () => {
    const store = createSharedRunStore(records, silent);
    const run = recordOf("queued");
    await store.create(run);
    expect(await store.retract({ ...run, created_at: "2026-11-25T10:00:00.000Z" })).toBe(false);
    expect(await store.get(run.request_id)).toMatchObject({ status: "queued" });
    expect(await store.retract(run)).toBe(true);
    expect(await store.unfinished()).toEqual([]);
    // Of one that never came to be, nothing is left, too.
    expect(await store.retract(run)).toBe(true);
    await store.create(run);
    await store.write(heldBy("one", { ...run, status: "running" as const, revision: 1 }));
    expect(await store.retract(run)).toBe(false);
    expect(await store.get(run.request_id)).toMatchObject({ status: "running" });
  });

  test("of many that make a step at once, one does", async () => {
    const store = createSharedRunStore(records, silent);
    await store.create(recordOf("waiting_user"));
    const [id = ""] = await store.unfinished();
    const run = await store.get(id);
    const tries = Array.from({ length: 20 }, (_, n) =>
      store.write(heldBy(`server ${n}`, { ...run, status: "queued" as const, revision: 1 })),
    );
    const outcomes = await Promise.allSettled(tries);
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });

  test("ends once: who comes too late changes nothing", async () => {
    const store = createSharedRunStore(records, silent);
    await store.create(recordOf("running"));
    const [id = ""] = await store.unfinished();
    const run = await store.get(id);
    await store.write(heldBy("one", { ...run, status: "failed" as const }));
    expect(await store.unfinished()).toEqual([]);
    await expect(store.write(heldBy("two", { ...run, status: "succeeded" as const }))).rejects.toThrow(
      RunTaken,
    );
    expect(await store.get(id)).toMatchObject({ status: "failed" });
  });

  test("an end whose answer was lost is stored again, as what is told of it", async () => {
    let isCut = true;
    const cut: RecordStore = {
      ...records,
      async change(changes) {
        const made = await records.change(changes);
        if (isCut) throw new Error("connection lost");
        return made;
      },
    };
    const store = createSharedRunStore(cut, silent);
    await store.create(recordOf("running"));
    const [id = ""] = await store.unfinished();
    const run = heldBy("one", await store.get(id));
    await expect(store.write({ ...run, status: "succeeded" })).rejects.toThrow("lost");
    isCut = false;
    await store.write({ ...run, status: "failed" });
    expect(await store.get(id)).toMatchObject({ status: "failed" });
  });

  test("with keys that could change prototypes can be replaced like any other", async () => {
    const store = createSharedRunStore(records, silent);
    const input = JSON.parse('{"constructor": {"prototype": {"a": 1}}, "__proto__": {"b": 2}}');
    await store.create({ ...recordOf("queued"), input });
    const [id = ""] = await store.unfinished();
    await store.write(heldBy("one", { ...(await store.get(id)), status: "running" as const }));
    expect(await store.get(id)).toMatchObject({ status: "running" });
  });

  test("exists once", async () => {
    const store = createSharedRunStore(records, silent);
    const run = recordOf("queued");
    await store.create(run);
    await expect(store.create(run)).rejects.toThrow(RunTaken);
  });
});

test("a change that another server makes ends a wait at once, and also when nobody tells of it", async () => {
  for (const channel of [channelOf(), silent]) {
    const [one, two] = [createSharedRunStore(records, channel), createSharedRunStore(records, channel)];
    const run = recordOf("queued");
    await one.create(run);
    const waits = two.until(
      run.request_id,
      ({ status }) => status === "running",
      AbortSignal.timeout(10_000),
    );
    const running = heldBy("one", { ...run, status: "running" as const });
    await one.write(running);
    await one.show(running);
    expect(await waits).toMatchObject({ status: "running" });
  }
});
