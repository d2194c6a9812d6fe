import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import memoryDriver from "unstorage/drivers/memory";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createGate } from "../capacity/index.ts";
import { createRecordStore } from "../storage/index.ts";
import type { RunContext } from "./context.ts";
import { readEvents } from "./event-log.ts";
import { createKeyedLock } from "./keyed-lock.ts";
import { runPaths } from "./paths.ts";
import { recordOf } from "./record.test-support.ts";
import type { RunRecord } from "./record.ts";
import { recoverRuns } from "./recovery.ts";
import { createResultCache } from "./result-cache.ts";
import { openRunProgress } from "./run-progress.ts";
import { createRunSecrets } from "./run-secrets.ts";
import { createRunStore } from "./run-store.ts";

let dataDir: string;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "recovery-"));
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

const resources = { peak_memory_mib: 180, peak_processes: 3, peak_threads: 30, peak_descriptors: 80 };
/** A server that stored `run` and then died after its log had told of `told` but before the record followed. */
async function crashedAfterTelling(run: RunRecord, told: RunRecord["status"][]) {
  const records = createRecordStore(memoryDriver());
  const store = createRunStore(records);
  await store.create(run);
  const forgetful = { ...store, save: async () => undefined };
  const progress = await openRunProgress(forgetful, dataDir, run);
  for (const status of told) await progress.become(status, "test", { attempt: 1, resources });
  await progress.close();

  const started: string[] = [];
  const fresh = createRunStore(records);
  // Recovery needs these parts and no other.
  const context = {
    dataDir,
    store: fresh,
    cache: createResultCache(records),
    secrets: createRunSecrets(dataDir),
    gate: createGate({ limit: 1, maxQueueSize: 1 }),
    locked: createKeyedLock(),
    log: { info() {}, warn() {}, error() {} },
  } as unknown as RunContext;
  const scheduler = {
    start: (queued: RunRecord) => {
      started.push(queued.request_id);
    },
    released: async () => {},
    stop: async () => false,
    shutdown: async () => undefined,
  };
  await recoverRuns(context, scheduler);
  const events = await readEvents(runPaths(dataDir, run.request_id).events, {});
  return { run: await fresh.get(run.request_id), started, unfinished: await fresh.unfinished(), events };
}

test("queued: goes on", async () => {
  const run = recordOf("queued");
  const { started } = await crashedAfterTelling(run, []);
  expect(started).toEqual([run.request_id]);
});

test("told to be running, stored as queued: fails once, and is not run twice", async () => {
  const { run, started, events } = await crashedAfterTelling(recordOf("queued"), ["running"]);
  expect(started).toEqual([]);
  expect(run).toMatchObject({ status: "failed", error: { code: "ORCHESTRATOR_RESTART_INTERRUPTED" } });
  expect(events.map((event) => [event.data.from, event.data.to])).toEqual([
    ["queued", "running"],
    ["running", "failed"],
  ]);
});

test("told to have succeeded, stored as running: has succeeded, and is told of once", async () => {
  const { run, started, unfinished, events } = await crashedAfterTelling(recordOf("running"), ["succeeded"]);
  expect(run.status).toBe("succeeded");
  expect(run.finished_at).not.toBeNull();
  expect(run.resources).toEqual(resources);
  expect({ started, unfinished }).toEqual({ started: [], unfinished: [] });
  expect(events).toHaveLength(1);
});

test("ran to its end, of which only the log tells: has ended, and is neither run nor told of again", async () => {
  const { run, started, unfinished, events } = await crashedAfterTelling(recordOf("queued"), [
    "running",
    "succeeded",
  ]);
  expect(run).toMatchObject({ status: "succeeded", error: null });
  expect({ started, unfinished }).toEqual({ started: [], unfinished: [] });
  expect(events).toHaveLength(2);
});

test("created: still waits for its files", async () => {
  const { run, started, unfinished } = await crashedAfterTelling(recordOf("created"), []);
  expect(run.status).toBe("created");
  expect(started).toEqual([]);
  expect(unfinished).toEqual([run.request_id]);
});
