import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { JobQueue, TakenJob } from "../queue/index.ts";
import { createRecordStore, memoryDriver, type RecordStore } from "../storage/index.ts";
import { canceledByCaller, cancelRun } from "./cancel-run.ts";
import type { RunContext } from "./context.ts";
import { createEventFeeds } from "./event-feed.ts";
import { openQueued } from "./open-queued.ts";
import { runPaths } from "./paths.ts";
import { recordOf } from "./record.test-support.ts";
import type { RunRecord } from "./record.ts";
import { createRunFolders } from "./run-folders.ts";
import { openRunProgress } from "./run-progress.ts";
import { createSharedRunSecrets } from "./run-secrets.ts";
import { RunTaken } from "./run-store.ts";
import { createSharedRunStore } from "./shared-run-store.ts";
import { RunStopped } from "./stop-reason.ts";
import { createTakeover } from "./takeover.ts";

let root: string;
let records: RecordStore;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "open-queued-"));
  records = createRecordStore(memoryDriver());
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** A server with a disk of its own on the same storage. */
function serverCalled(name: string): RunContext {
  const dataDir = join(root, name);
  const log = { info: vi.fn(), warn: vi.fn(), error: vi.fn() };
  const channel = { tell() {}, listen: () => () => {}, close: async () => {} };
  const folders = createRunFolders({
    dataDir,
    environment: {},
    records,
    isShared: true,
    live: { after: async () => [] },
    log,
  });
  const used: Partial<RunContext> = {
    dataDir,
    log,
    folders,
    store: createSharedRunStore(records, channel),
    feeds: createEventFeeds(),
    secrets: createSharedRunSecrets(dataDir, records),
    accepting: () => true,
  };
  return used as RunContext;
}

/** A queued run whose uploads were sent to this server. */
async function queuedAt(server: RunContext): Promise<RunRecord> {
  const run = { ...recordOf("queued"), revision: 1, needs_upload: true };
  const { workspace } = runPaths(server.dataDir, run.request_id);
  await mkdir(workspace, { recursive: true });
  await writeFile(join(workspace, "in.txt"), "an upload");
  await server.store.create({ ...run, folder: await server.folders.keep(run) });
  return server.store.get(run.request_id);
}

/** What is read of its copy from now on is not what was written. */
function spoil(how: "lost" | "torn"): void {
  const { readBytes } = records;
  records.readBytes = async (key) => {
    const bytes = await readBytes.call(records, key);
    return how === "lost" ? null : (bytes?.subarray(0, bytes.length / 2) ?? null);
  };
}

test("a job that was canceled at another server, which removed the copy of its files, is let go of", async () => {
  const [one, two] = [serverCalled("one"), serverCalled("two")];
  const run = await queuedAt(two);
  await cancelRun(two, run, canceledByCaller());
  await expect(openQueued(one, run, new AbortController().signal)).rejects.toThrow(RunTaken);
  expect((await one.store.get(run.request_id)).status).toBe("canceled");
});

test("of two servers that change a job at once, the later one is told that it was too late", async () => {
  const [one, two] = [serverCalled("one"), serverCalled("two")];
  const run = await queuedAt(two);
  await cancelRun(two, run, canceledByCaller());
  await expect(openRunProgress(one, run)).rejects.toThrow(RunTaken);
});

test("a job that was deleted meanwhile is let go of", async () => {
  const [one, two] = [serverCalled("one"), serverCalled("two")];
  const run = await queuedAt(two);
  await two.folders.drop(run.request_id);
  await two.store.remove(run);
  await expect(openQueued(one, run, new AbortController().signal)).rejects.toThrow(RunTaken);
});

test.each(["lost", "torn"] as const)("a job whose files are %s fails, with a reason", async (how) => {
  const [one, two] = [serverCalled("one"), serverCalled("two")];
  const run = await queuedAt(two);
  spoil(how);
  const opened = await openQueued(one, run, new AbortController().signal);
  expect(opened).toMatchObject({ ended: { status: "failed", error: { code: "STORAGE_FAILED" } } });
  expect(await two.store.get(run.request_id)).toMatchObject({ status: "failed" });
});

test.each(["lost", "torn"] as const)(
  "a job whose files are %s can be canceled while it is tried",
  async (how) => {
    const [one, two] = [serverCalled("one"), serverCalled("two")];
    const run = await queuedAt(two);
    spoil(how);
    const controller = new AbortController();
    const opening = openQueued(one, run, controller.signal);
    await vi.waitFor(() => expect(one.log.error).toHaveBeenCalled());
    controller.abort(canceledByCaller());
    expect(await opening).toMatchObject({ ended: { status: "canceled" } });
  },
);

test("a job whose lease is lost while it is tried is another server's", async () => {
  const [one, two] = [serverCalled("one"), serverCalled("two")];
  const run = await queuedAt(two);
  spoil("lost");
  const controller = new AbortController();
  const opening = openQueued(one, run, controller.signal);
  opening.catch(() => undefined);
  await vi.waitFor(() => expect(one.log.error).toHaveBeenCalled());
  controller.abort(new RunStopped("lost", "another has it"));
  await expect(opening).rejects.toThrow(RunTaken);
  expect(await two.store.get(run.request_id)).toEqual(run);
});

test("what stands in the way at one server alone is left to the others in the end", async () => {
  const [one, two] = [serverCalled("one"), serverCalled("two")];
  const run = await queuedAt(two);
  await writeFile(one.dataDir, "no folder");
  vi.useFakeTimers({ shouldAdvanceTime: true, advanceTimeDelta: 20, toFake: ["performance"] });
  try {
    const opening = openQueued(one, run, new AbortController().signal);
    opening.catch(() => undefined);
    await vi.waitFor(() => expect(one.log.error).toHaveBeenCalled());
    vi.advanceTimersByTime(31_000);
    await expect(opening).rejects.toThrow(/ENOTDIR|EEXIST/);
  } finally {
    vi.useRealTimers();
  }
  const again = await openQueued(two, run, new AbortController().signal);
  expect(again).toHaveProperty("progress");
  if ("progress" in again) await again.progress.close();
});

test("a job whose server is gone, and whose files are lost, fails instead of being taken over again and again", async () => {
  const [one, two] = [serverCalled("one"), serverCalled("two")];
  const queued = await queuedAt(two);
  const running = { ...queued, status: "running", revision: 2, node: "two", job: "job" } as const;
  await two.store.write(running);
  spoil("lost");
  const queue: Partial<JobQueue> = { node: "one" };
  const takeover = createTakeover(one, queue as JobQueue, () =>
    Promise.reject(new Error("not to be queued")),
  );
  const taken: TakenJob = {
    ...{ id: "job-anew", run: queued.request_id, revision: 1, skill: "s", insteadOf: "job" },
    ...{ lost: new AbortController().signal, done: async () => {}, later: async () => {} },
  };
  expect(await takeover.ready(taken, await one.store.get(queued.request_id))).toBeNull();
  expect(await two.store.get(queued.request_id)).toMatchObject({
    status: "failed",
    error: { code: "STORAGE_FAILED" },
  });
});
