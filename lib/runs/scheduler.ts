import { setTimeout as sleep } from "node:timers/promises";
import type { Reservation } from "../capacity/index.ts";
import type { RunContext } from "./context.ts";
import { executeRun, internalFailure } from "./execute-run.ts";
import { stopError } from "./judge.ts";
import type { RunRecord } from "./record.ts";
import { cacheKey } from "./result-cache.ts";
import { openRunProgress, type RunProgress } from "./run-progress.ts";
import { emptyResult, type RunResult, syncResult, writeResult } from "./run-result.ts";
import { RunStopped } from "./stop-reason.ts";

/** Takes queued runs through the gate to their end. It alone writes the record of a run that it holds. */
export interface Scheduler {
  /** Queues a run whose record says `queued`. Returns at once; the run goes on by itself. */
  start(run: RunRecord, reservation: Reservation): void;
  /** Resolves when a run whose end is told already is let go of: its log is closed a moment later. */
  released(id: string): Promise<void>;
  /** Ends a queued or running run. Resolves when it has ended, or with false when the scheduler does not hold it. */
  stop(id: string, reason: RunStopped): Promise<boolean>;
  /** Lets go of what is queued (the next start finds it), lets what is running go on for the grace time, then ends it. */
  shutdown(graceMs: number): Promise<void>;
}

interface Held {
  controller: AbortController;
  started: boolean;
  done: Promise<void>;
}

export function createScheduler(context: RunContext): Scheduler {
  const held = new Map<string, Held>();
  let stopping = false;
  return {
    start(run, reservation) {
      // Accepted in the last moment: it is durable, and the next start takes it up.
      if (stopping) return reservation.release();
      const entry: Held = { controller: new AbortController(), started: false, done: Promise.resolve() };
      entry.done = carryOut(context, run, reservation, entry)
        .catch((error: unknown) =>
          context.log.error({ err: error, run: run.request_id }, "a run could not be ended in storage"),
        )
        .finally(() => held.delete(run.request_id));
      held.set(run.request_id, entry);
    },
    released: async (id) => held.get(id)?.done,
    async stop(id, reason) {
      const entry = held.get(id);
      if (!entry) return false;
      entry.controller.abort(reason);
      await entry.done;
      return true;
    },
    async shutdown(graceMs) {
      stopping = true;
      const reason = new RunStopped(
        "shutdown",
        "The server was stopped while the run was in progress. Send the job again.",
      );
      const entries = [...held.values()];
      for (const entry of entries) if (!entry.started) entry.controller.abort(reason);
      const grace = setTimeout(() => {
        for (const entry of entries) entry.controller.abort(reason);
      }, graceMs);
      await Promise.all(entries.map((entry) => entry.done));
      clearTimeout(grace);
    },
  };
}

async function carryOut(
  context: RunContext,
  run: RunRecord,
  reservation: Reservation,
  entry: Held,
): Promise<void> {
  const { signal } = entry.controller;
  try {
    await reservation.run(
      async () => {
        entry.started = true;
        await attempt(context, run, entry.controller);
      },
      { signal },
    );
  } catch (error) {
    if (entry.started) throw error;
    await endUnstarted(context, run, signal);
  }
}

async function attempt(context: RunContext, queued: RunRecord, controller: AbortController): Promise<void> {
  const progress = await openRunProgress(context.store, context.dataDir, queued);
  try {
    await progress.become("running", "turn.started", {
      attempt: queued.attempt + 1,
      started_at: queued.started_at ?? new Date().toISOString(),
    });
    const result = await executeRun(context, progress, controller).catch((error: unknown) => {
      context.log.error({ err: error, run: queued.request_id }, "a run failed inside the server");
      return emptyResult("failed", internalFailure(error));
    });
    await learnNeed(context, progress.run, result);
    await finishAtLast(context, progress, result);
  } finally {
    await progress.close();
  }
}

// What the engine's next runs are thought to need. It can be learnt again, so it may not keep the run from ending.
async function learnNeed({ estimates, log }: RunContext, run: RunRecord, result: RunResult): Promise<void> {
  const { resources: took } = run;
  if (took === null) return;
  const need = { memory_mib: took.peak_memory_mib, pids: took.peak_threads, fds: took.peak_descriptors };
  await estimates
    .note(run.engine, need, result.status === "success")
    .catch((error: unknown) =>
      log.warn({ err: error, run: run.request_id }, "what a run took could not be stored"),
    );
}

// A full disk must not leave a run in limbo: its end is stored when there is space again.
async function finishAtLast(context: RunContext, progress: RunProgress, result: RunResult): Promise<void> {
  for (let waitMs = 500; ; waitMs = Math.min(waitMs * 2, 30_000)) {
    try {
      return await finish(context, progress, result);
    } catch (error) {
      const { request_id: run } = progress.run;
      context.log.error({ err: error, run }, `a run's end could not be stored; trying again in ${waitMs} ms`);
      if (!context.accepting()) throw error;
      await sleep(waitMs, undefined, { ref: false });
    }
  }
}

// Aborted before it owned a slot. A shutdown leaves it queued: the next start takes it up again.
async function endUnstarted(context: RunContext, run: RunRecord, signal: AbortSignal): Promise<void> {
  if (signal.reason instanceof RunStopped && signal.reason.kind === "shutdown") return;
  const progress = await openRunProgress(context.store, context.dataDir, run);
  try {
    await finish(context, progress, emptyResult("canceled", stopError(signal.reason, run.engine)));
  } finally {
    await progress.close();
  }
}

/** Ends a run: its result file first, then its record, so that whoever reads "succeeded" finds the result. */
export async function finish(context: RunContext, progress: RunProgress, wanted: RunResult): Promise<void> {
  const result = keepResult(context, progress, wanted);
  const status = result.status === "success" ? "succeeded" : result.status;
  const key = status === "succeeded" ? cacheKey(progress.run) : null;
  // Before the end is told: who sees it may ask the same again at once, and finds no secret left.
  const { request_id: id } = progress.run;
  const remembered = key === null ? undefined : context.cache.remember(key, id);
  // Neither may keep the run from ending.
  for (const done of await Promise.allSettled([remembered, context.secrets.forget(id)])) {
    if (done.status === "rejected")
      context.log.warn({ err: done.reason, run: id }, "a run's end was not tidied up");
  }
  const { paths } = progress;
  await progress.become(status, triggers[status], { error: result.error }, () =>
    syncResult(paths.result, paths.workspace, result),
  );
}

// A result that cannot be written (a full disk, an artifact that vanished) is a failure with a reason, not a stuck run.
function keepResult(context: RunContext, progress: RunProgress, result: RunResult): RunResult {
  const { paths, run } = progress;
  try {
    writeResult(paths.result, result);
    return result;
  } catch (error) {
    context.log.error({ err: error, run: run.request_id }, "a result could not be written");
    if (result.status !== "success") return result;
    const reason = error instanceof Error && "code" in error ? ` (${error.code})` : "";
    const message = `The result could not be written${reason}.`;
    return keepResult(context, progress, emptyResult("failed", { code: "RESULT_NOT_STORED", message }));
  }
}

const triggers = { succeeded: "turn.succeeded", failed: "turn.failed", canceled: "run.canceled" } as const;
