import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { agents } from "../agents/index.ts";
import { createRecordStore, memoryDriver } from "../storage/index.ts";
import type { RunContext } from "./context.ts";
import { createEventFeeds } from "./event-feed.ts";
import { createKeyedLock } from "./keyed-lock.ts";
import { runPaths, turnPaths } from "./paths.ts";
import { readEvents } from "./read-events.ts";
import { localFolders, question, recordOf } from "./record.test-support.ts";
import type { RunRecord } from "./record.ts";
import { createRecovery } from "./recovery.ts";
import { createResultCache } from "./result-cache.ts";
import { openRunProgress, type RunProgress } from "./run-progress.ts";
import { createRunSecrets } from "./run-secrets.ts";
import { createRunStore, type RunStore } from "./run-store.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Waiting } from "./waiting.ts";

let dataDir: string;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "recovery-"));
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

const resources = { peak_memory_mib: 180, peak_processes: 3, peak_threads: 30, peak_descriptors: 80 };
const feeds = createEventFeeds();
const quiet = { accepting: () => true, log: { info() {}, warn() {}, error() {} } };
const interruptedCode = "ORCHESTRATOR_RESTART_INTERRUPTED";

/** A server that stored `run` and was at work on it when it died: `work` is what it had done by then. */
async function crashed(run: RunRecord, work: (progress: RunProgress, store: RunStore) => Promise<void>) {
  const records = createRecordStore(memoryDriver());
  const store = createRunStore(records);
  const folders = localFolders(dataDir);
  await store.create(run);
  const progress = await openRunProgress({ store, feeds, folders, ...quiet }, run);
  await work(progress, store).catch(() => undefined);
  await progress.close();

  const admitted: RunRecord[] = [];
  const watched: string[] = [];
  const fresh = createRunStore(records);
  // Recovery needs these parts and no other.
  const letGo = vi.fn();
  const context = {
    dataDir,
    feeds,
    gate: { hold: () => letGo },
    store: fresh,
    cache: createResultCache(records),
    folders,
    secrets: createRunSecrets(dataDir, createRecordStore(memoryDriver())),
    engines: { ids: ["codex"], get: () => codex },
    locked: createKeyedLock(),
    ...quiet,
    settings: { maxRestarts: 2 },
  } as unknown as RunContext;
  const scheduler = {
    admit: (queued: RunRecord) => void admitted.push(queued),
    released: async () => {},
  } as unknown as Scheduler;
  const waiting: Waiting = { watch: (run) => void watched.push(run.request_id), stop() {} };
  await createRecovery(context, scheduler, waiting).recover();
  // Nobody would ever run otherwise.
  expect(letGo).toHaveBeenCalledOnce();
  const events = (await readEvents(runPaths(dataDir, run.request_id).events, {})).events;
  const steps = events
    .filter((event) => event.type === "conversation.state.changed")
    .map((event) => [event.data.from, event.data.to]);
  expect(events.map((event) => event.seq)).toEqual(events.map((_, at) => at + 1));
  const recovered = await fresh.get(run.request_id);
  return { run: recovered, admitted, watched, unfinished: await fresh.unfinished(), events, steps };
}

const codex = agents.find(({ id }) => id === "codex");
const running = (progress: RunProgress, fields: Partial<RunRecord> = {}) =>
  progress.become("running", "turn.started", { attempt: progress.run.attempt + 1, ...fields });
/** Dies when it comes to writing the event log. */
const untold = (store: RunStore): RunStore => ({
  ...store,
  async write(run) {
    await store.write(run);
    throw new Error("kill -9");
  },
});

test("created: still waits for its files", async () => {
  const { run, admitted, unfinished } = await crashed(recordOf("created"), async () => undefined);
  expect(run.status).toBe("created");
  expect(admitted).toEqual([]);
  expect(unfinished).toEqual([run.request_id]);
});

test("queued: goes on", async () => {
  const { admitted } = await crashed(recordOf("queued"), async () => undefined);
  expect(admitted).toMatchObject([{ status: "queued", attempt: 0, recovery_state: "requeued" }]);
});

test("running, its agent not heard yet: the attempt is made anew", async () => {
  const { admitted, steps } = await crashed(recordOf("queued"), (progress) => running(progress));
  expect(admitted).toMatchObject([{ status: "queued", attempt: 1, crashes: 1, resume: null }]);
  expect(steps).toEqual([
    ["queued", "running"],
    ["running", "queued"],
  ]);
});

test("running, its agent at work in a session: goes on there, and counts its turns on", async () => {
  const { admitted } = await crashed(recordOf("queued"), async (progress) => {
    await running(progress);
    await mkdir(turnPaths(progress.paths, 3).folder, { recursive: true });
    progress.note({ session_id: "thread", turns: 3 });
    void progress.jot();
  });
  expect(admitted).toMatchObject([
    { attempt: 1, turns: 3, crashes: 1, resume: { cause: "restart", session_id: "thread" } },
  ]);
});

test("running, with more told since than is looked at first: its last step is found all the same", async () => {
  const { steps } = await crashed(recordOf("queued"), async (progress) => {
    await running(progress);
    progress.note({ session_id: "thread" });
    void progress.jot();
    const text = "x".repeat(30_000);
    for (let n = 0; n < 200; n++) progress.relay({ type: "assistant.reasoning", data: { text } }, null);
  });
  expect(steps).toEqual([
    ["queued", "running"],
    ["running", "queued"],
  ]);
});

test.each([
  ["its agent at work in no session", { session_id: null }, {}],
  ["for the third time", { session_id: "thread" }, { crashes: 2 }],
])("running, %s: fails with a reason, once", async (_how, noted, before) => {
  const { run, admitted, steps, unfinished } = await crashed(
    { ...recordOf("queued"), ...before },
    async (progress) => {
      await running(progress);
      progress.note(noted);
      void progress.jot();
    },
  );
  expect(run).toMatchObject({
    status: "failed",
    error: { code: interruptedCode },
    recovery_state: "failed_reconciled",
  });
  expect({ admitted, unfinished }).toEqual({ admitted: [], unfinished: [] });
  expect(steps).toEqual([
    ["queued", "running"],
    ["running", "failed"],
  ]);
});

test("stored to have succeeded, not told: has succeeded, and is told of once", async () => {
  const { run, admitted, unfinished, events, steps } = await crashed(
    recordOf("queued"),
    async (progress, store) => {
      await running(progress, { resources });
      const again = await openRunProgress(
        { store: untold(store), feeds, folders: localFolders(dataDir), ...quiet },
        progress.run,
      );
      await again.become("succeeded", "turn.succeeded", {});
    },
  );
  expect(run).toMatchObject({ status: "succeeded", resources, error: null });
  expect(run.finished_at).not.toBeNull();
  expect({ admitted, unfinished }).toEqual({ admitted: [], unfinished: [] });
  expect(steps).toEqual([
    ["queued", "running"],
    ["running", "succeeded"],
  ]);
  expect(events.at(-1)?.data.terminal).toMatchObject({ status: "succeeded", resources });
});

test("waiting for an answer, not told: waits on, and the question is told", async () => {
  const { run, watched, events, steps } = await crashed(recordOf("queued"), async (progress, store) => {
    await running(progress);
    const again = await openRunProgress(
      { store: untold(store), feeds, folders: localFolders(dataDir), ...quiet },
      progress.run,
    );
    await again.become("waiting_user", "turn.needs_input", { pending: question, interaction_count: 1 });
  });
  expect(run).toMatchObject({ status: "waiting_user", pending: question });
  expect(watched).toEqual([run.request_id]);
  expect(steps.at(-1)).toEqual(["running", "waiting_user"]);
  expect(events.at(-2)).toMatchObject({ type: "user.input.required", data: question });
});

test("waiting for an answer, the question told but not the step: the step is told, the question not again", async () => {
  const { events, steps } = await crashed(recordOf("queued"), async (progress) => {
    await running(progress);
    await progress.become("waiting_user", "turn.needs_input", { pending: question, interaction_count: 1 });
    // A full disk or a power cut leaves a part of what is written at once.
    const { events: path } = progress.paths;
    const lines = (await readFile(path, "utf8")).split("\n");
    await writeFile(path, `${lines.slice(0, -2).join("\n")}\n{"protocol`);
  });
  expect(steps.at(-1)).toEqual(["running", "waiting_user"]);
  expect(events.filter(({ type }) => type === "user.input.required")).toHaveLength(1);
});

test("answered, not told: is queued with the answer, and both are told", async () => {
  const reply = { interaction_id: 1, response: "red", files: [] };
  const resume = { cause: "reply" as const, session_id: "thread", prompt: "red", reply, auth: null };
  const { admitted, events, steps } = await crashed(recordOf("queued"), async (progress, store) => {
    await running(progress);
    await progress.become("waiting_user", "turn.needs_input", { pending: question, interaction_count: 1 });
    const again = await openRunProgress(
      { store: untold(store), feeds, folders: localFolders(dataDir), ...quiet },
      progress.run,
    );
    await again.become("queued", "interaction.reply.accepted", { pending: null, resume });
  });
  expect(admitted).toMatchObject([{ status: "queued", pending: null, resume }]);
  expect(steps.at(-1)).toEqual(["waiting_user", "queued"]);
  expect(events.at(-2)).toMatchObject({ type: "interaction.reply.accepted", data: reply });
});
