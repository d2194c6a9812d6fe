import { RunnerError } from "../errors.ts";
import { filesBelow } from "./artifacts.ts";
import { canceledByCaller, cancelRun } from "./cancel-run.ts";
import { type ChatBubble, type ChatFollower, followChat, readChat } from "./chat.ts";
import type { JobRequest } from "./check-request.ts";
import type { RunContext } from "./context.ts";
import { describeAuth, describePending, describeRun, summarizeRun } from "./describe-run.ts";
import { createDeviceLogins } from "./device-logins.ts";
import type { RunEvent } from "./event-log.ts";
import { type Follower, follow } from "./follow.ts";
import { type LogRange, type LogRangeRequest, readLogRange } from "./log-range.ts";
import { createLoginDesk, type LoginAnswer } from "./login-desk.ts";
import { type RunPaths, repliesFolder } from "./paths.ts";
import { createQueueRecovery } from "./queue-recovery.ts";
import { createQueueScheduler, type QueueParts } from "./queue-scheduler.ts";
import { type EventRange, readEvents } from "./read-events.ts";
import type { RunRecord } from "./record.ts";
import { createRecovery } from "./recovery.ts";
import { type Reply, replyText, takeReply } from "./reply.ts";
import { assertAwaitsReply, type FileReply, takeFiles, type UploadedFile } from "./reply-files.ts";
import { type CleanupCount, cleanUpAll, dropExpired, removeRun } from "./retention.ts";
import { type BundleFile, bundleFiles, findArtifact, type ServedFile } from "./run-files.ts";
import { markFile } from "./run-folders.ts";
import { type RunResult, resultOf } from "./run-result.ts";
import type { RunFilter, RunPage } from "./run-store.ts";
import { createScheduler, type Scheduler } from "./scheduler.ts";
import { type Settled, settled } from "./settled.ts";
import { type Accepted, assertAccepting, submit } from "./submit.ts";
import { isTerminal, waitsForSomebody } from "./transitions.ts";
import { turnsOnDisk } from "./turns-on-disk.ts";
import { acceptUpload, assertAwaitsUpload, type UploadedArchives, type UploadLimits } from "./upload.ts";
import { type FileEntry, listWorkspace, type RunLogs, readLogs } from "./views.ts";
import { createWaiting, type Waiting } from "./waiting.ts";

export interface SharedParts extends QueueParts {
  /** Milliseconds between two looks for runs that the queue has lost. */
  everyMs: number;
  /** Milliseconds after which the work of a server that is away is given to others. */
  awayMs: number;
}

export interface Canceled {
  status: RunRecord["status"];
  accepted: boolean;
  message: string;
}

export interface EventHistory {
  count: number;
  events: RunEvent[];
  source: "pre_observable" | "live" | "history";
  cursor_floor: number;
  cursor_ceiling: number;
}

/** Everything the endpoints do with jobs. Methods that take an id throw RunnerError JOB_NOT_FOUND for an unknown one. */
export interface Runs {
  /** @param idempotencyKey the same request under the same key makes one job */
  submit(
    request: JobRequest,
    by: { sender: string | null; idempotencyKey?: string | undefined },
  ): Promise<Accepted>;
  /** What the job has come to when it has ended or waits for somebody, or when `ms` are over or the signal aborts. */
  settled(id: string, ms: number, signal: AbortSignal): Promise<Settled>;
  /** @throws RunnerError JOB_STATE_CONFLICT when the job takes no upload: ask before the body is read. */
  assertAwaitsUpload(id: string): Promise<void>;
  upload(
    id: string,
    files: UploadedArchives,
    limits: UploadLimits,
  ): Promise<Accepted & { extracted_files: string[] }>;
  /** At once where the record is in memory. */
  status(id: string): ReturnType<typeof describeRun> | Promise<ReturnType<typeof describeRun>>;
  page(options: {
    before?: string | undefined;
    limit: number;
    filter: RunFilter;
  }): Promise<{ jobs: ReturnType<typeof summarizeRun>[]; next: RunPage["next"] }>;
  /** @throws RunnerError RESULT_NOT_READY until the job has ended */
  result(id: string): Promise<RunResult>;
  artifact(id: string, path: string): Promise<ServedFile>;
  bundle(id: string, kind: "result" | "debug"): Promise<BundleFile[]>;
  files(id: string): Promise<{ entries: FileEntry[]; truncated: boolean }>;
  logs(id: string, turn?: number): Promise<RunLogs>;
  events(id: string, range: EventRange): Promise<EventHistory>;
  /** Follows the log behind event `after`. The signal ends the wait of a caller that has gone away. */
  follow(id: string, after: number, signal: AbortSignal): Promise<Follower>;
  /** The same for the conversation, behind bubble `after`. */
  followChat(id: string, after: number, signal: AbortSignal): Promise<ChatFollower>;
  chat(id: string, range: { from?: number; to?: number; limit?: number }): Promise<ChatBubble[]>;
  /** @throws RunnerError REQUEST_INVALID for a stream, turn or attempt there is none of */
  logRange(id: string, range: LogRangeRequest): Promise<LogRange>;
  /** What the job waits for, if it does. */
  pending(id: string): Promise<ReturnType<typeof describePending>>;
  authSession(id: string): Promise<ReturnType<typeof describeAuth>>;
  reply(id: string, reply: Reply): Promise<void>;
  /** @throws RunnerError JOB_NOT_INTERACTIVE, JOB_STATE_CONFLICT when the job takes no reply: ask before the body is read. */
  assertAwaitsReply(id: string): Promise<void>;
  replyWithFiles(id: string, reply: FileReply): Promise<void>;
  answerLogin(id: string, answer: LoginAnswer): Promise<"queued" | "waiting_auth">;
  /** @throws RunnerError JOB_STATE_CONFLICT when the job waits for no login: ask before the body is read. */
  assertAwaitsLogin(id: string): Promise<void>;
  /** @returns the names of the files that were put in place */
  importCredentials(id: string, files: readonly UploadedFile[]): Promise<string[]>;
  cancel(id: string): Promise<Canceled>;
  /** @throws RunnerError JOB_STATE_CONFLICT while the job is queued or running */
  remove(id: string): Promise<void>;
  cleanUp(): Promise<CleanupCount>;
  dropExpired(now?: Date): Promise<number>;
  /** Takes up what the last process left. Call once, before the first request. */
  recover(): Promise<void>;
  /** Ends the work in hand: queued jobs stay queued on disk, running ones get `graceMs` to end by themselves. */
  shutdown(graceMs: number): Promise<void>;
}

/** @param shared what several servers carry their runs out by; absent for one alone */
export function createRuns(context: RunContext, shared?: SharedParts): Runs {
  const onWaiting = (run: RunRecord) => waiting.watch(run);
  const queued = shared && createQueueScheduler(context, shared, onWaiting);
  const scheduler: Scheduler = queued ?? createScheduler(context, onWaiting);
  const waiting: Waiting = createWaiting(context, scheduler);
  const deviceLogins = createDeviceLogins(context, scheduler);
  const loginDesk = createLoginDesk(context, scheduler, deviceLogins);
  const lookingThrough =
    queued && shared && createQueueRecovery(context, { ...shared, scheduler: queued, waiting });
  const recovery = lookingThrough ?? createRecovery(context, scheduler, waiting);
  /** Aborts when nothing will happen to any job any more. */
  const closing = new AbortController();
  const { store } = context;
  /** What is done to one job is done one after the other, and never before the job was taken up after a restart. */
  const locked = <T>(id: string, task: () => Promise<T>): Promise<T> =>
    context.locked(id, async () => {
      await recovery.takeUpNow(id);
      return task();
    });
  // A record is never changed, only replaced: its description is made once.
  const statuses = new WeakMap<RunRecord, ReturnType<typeof describeRun>>();
  const described = (run: RunRecord) => {
    const known = statuses.get(run);
    if (known) return known;
    const status = Object.freeze(describeRun(run));
    statuses.set(run, status);
    return status;
  };
  const find = async (id: string): Promise<{ run: RunRecord; paths: RunPaths }> => {
    const run = await store.get(id);
    const paths = await context.folders.here(run).catch(async (error: unknown) => {
      // Another server may have stored its next step in between, and removed what was about to be read.
      const now = await store.get(id);
      if (now.revision === run.revision) throw error;
      return context.folders.here(now);
    });
    return { run, paths };
  };
  const ended = async (id: string) => {
    const { run, paths } = await find(id);
    if (!isTerminal(run.status)) {
      throw new RunnerError(
        "RESULT_NOT_READY",
        `The job is ${run.status}; its result comes when it has ended.`,
        {
          retryAfterSeconds: 1,
        },
      );
    }
    return { run, paths, result: await resultOf(paths.result, run) };
  };

  return {
    submit: (request, { sender, idempotencyKey: key }) =>
      key === undefined
        ? submit(context, scheduler, request, sender)
        : context.idempotency.once(key, request, store, (id) =>
            submit(context, scheduler, request, sender, id),
          ),
    settled: (id, ms, signal) => settled(context, id, ms, [signal, closing.signal]),
    assertAwaitsUpload: async (id) => assertAwaitsUpload(await store.get(id)),
    upload: (id, files, limits) => locked(id, () => acceptUpload(context, scheduler, id, files, limits)),
    status(id) {
      const run = store.inMemory(id);
      return run ? described(run) : store.get(id).then(described);
    },
    async page(options) {
      const { runs, next } = await store.page(options);
      return { jobs: runs.map(summarizeRun), next };
    },
    result: async (id) => (await ended(id)).result,
    async artifact(id, path) {
      const { paths, result } = await ended(id);
      return findArtifact(paths, result, path);
    },
    async bundle(id, kind) {
      const { run, paths, result } = await ended(id);
      return bundleFiles(paths, run, result, kind === "debug" ? await debugFiles(paths) : []);
    },
    async files(id) {
      return listWorkspace((await find(id)).paths);
    },
    async logs(id, turn) {
      const { run, paths } = await find(id);
      return readLogs(paths, await turnsOnDisk(paths, run.turns), turn);
    },
    async events(id, range) {
      // Asked before the log is read: of a run that has ended by now the log has all.
      const { run, paths } = await find(id);
      const { events, last } = await readEvents(paths.events, range);
      const source = last === 0 ? "pre_observable" : isTerminal(run.status) ? "history" : "live";
      const cursor_floor = last === 0 ? 0 : 1;
      return { count: events.length, events, source, cursor_floor, cursor_ceiling: last };
    },
    follow: (id, after, signal) => follow(context, id, after, signal),
    followChat: async (id, after, signal) => followChat(await follow(context, id, 0, signal), after),
    chat: async (id, range) => readChat((await find(id)).paths.events, range),
    async logRange(id, range) {
      const { run, paths } = await find(id);
      return readLogRange(paths, run, await turnsOnDisk(paths, run.turns), range);
    },
    pending: async (id) => describePending(await store.get(id)),
    authSession: async (id) => describeAuth(await store.get(id)),
    reply: (id, reply) =>
      locked(id, () =>
        takeReply(context, scheduler, id, reply, null, async () => ({
          prompt: replyText(reply.response),
          files: [],
        })),
      ),
    assertAwaitsReply: (id) => assertAwaitsReply(context, id),
    replyWithFiles: (id, reply) => locked(id, () => takeFiles(context, scheduler, id, reply)),
    answerLogin: (id, answer) => locked(id, () => loginDesk.answer(id, answer)),
    assertAwaitsLogin: (id) => loginDesk.assertAwaited(id),
    importCredentials: (id, files) => locked(id, () => loginDesk.importFiles(id, files)),
    async cancel(id) {
      await store.get(id);
      const stop = () => scheduler.stop(id, canceledByCaller());
      let stopped = await stop();
      let { status } = await store.get(id);
      // It may have begun to wait in that moment: then nobody holds it. Or it was just queued: then it is held after all.
      const isElsewhere = () => store.isShared && status === "running";
      for (let tries = 0; tries < 3 && !isTerminal(status) && !isElsewhere(); tries++) {
        stopped = (await locked(id, () => withdraw(context, scheduler, id))) || (await stop()) || stopped;
        ({ status } = await store.get(id));
      }
      if (!isTerminal(status)) {
        assertAccepting(context);
        if (store.isShared) {
          const message =
            "The server that carries the job out does not answer. The job ends as soon as it does, or is given up.";
          return { status, accepted: true, message };
        }
        const message = "The job could not be canceled: its end could not be stored. Try again.";
        throw new RunnerError("STORAGE_FAILED", message);
      }
      const accepted = status === "canceled" && stopped;
      return {
        status,
        accepted,
        message: accepted ? "The job was canceled." : `The job had already ended: ${status}.`,
      };
    },
    remove: (id) =>
      context.locked(id, async () => {
        // A full disk may keep it from being taken up; to delete it is what makes room.
        await recovery.takeUpNow(id).catch(() => undefined);
        const run = await store.get(id);
        if (!(isTerminal(run.status) || run.status === "created")) {
          throw new RunnerError(
            "JOB_STATE_CONFLICT",
            `The job is ${run.status}. Cancel it before you delete it.`,
          );
        }
        await scheduler.released(id);
        await removeRun(context, run);
        recovery.forget(id);
      }),
    cleanUp: () => cleanUpAll(context, scheduler),
    async dropExpired(now = new Date()) {
      const removed = await dropExpired(context, scheduler, now);
      await context.idempotency.sweep(store, now);
      return removed;
    },
    recover: () => recovery.recover(),
    async shutdown(graceMs) {
      waiting.stop();
      lookingThrough?.stop();
      deviceLogins.stop();
      await scheduler.shutdown(graceMs);
      context.feeds.dismiss();
      closing.abort();
    },
  };
}

/** Cancels a job that waits: nobody holds it. False when there was nothing to cancel. */
async function withdraw(context: RunContext, scheduler: Scheduler, id: string): Promise<boolean> {
  const run = await context.store.get(id);
  if (!waitsForSomebody(run.status)) return false;
  // That it waits is seen a moment before its log is closed.
  await scheduler.released(id);
  await cancelRun(context, run, canceledByCaller());
  return true;
}

/** Of a run's folder: what is temporary, its skill's package, and what CLIs keep in their home, logins perhaps among it. */
const notForOthers = ["tmp", "skill", "skill.tmp", "home"];

/** Everything in a run's folder that helps to understand it, but installed packages and what is not for others. */
async function debugFiles(paths: RunPaths): Promise<string[]> {
  const files = await filesBelow(paths.root, "");
  return files
    .map((path) => path.slice(1))
    .filter(
      (path) =>
        path !== markFile &&
        !notForOthers.some((folder) => path.startsWith(`${folder}/`)) &&
        ![".git", "node_modules", repliesFolder].some((folder) => path.includes(`/${folder}/`)),
    );
}
