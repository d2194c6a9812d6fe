import { setTimeout as sleep } from "node:timers/promises";
import type { Reservation } from "../capacity/index.ts";
import { mediumFailure } from "../storage/index.ts";
import type { RunContext } from "./context.ts";
import { executeRun, internalFailure, type RunEnd } from "./execute-run.ts";
import { finish, runFailed } from "./finish.ts";
import { gateEntry } from "./gate-entry.ts";
import { afterInterruption, interrupted } from "./interruption.ts";
import { stopError } from "./judge.ts";
import type { RunRecord } from "./record.ts";
import { openRunProgress, type RunProgress } from "./run-progress.ts";
import { emptyResult } from "./run-result.ts";
import { RunStopped } from "./stop-reason.ts";

/** Takes queued runs through the gate to the end of their attempt. It alone writes the record of a run that it holds. */
export interface Scheduler {
  /** Queues a run whose record says `queued`. Returns at once; the run goes on by itself. */
  start(run: RunRecord, reservation: Reservation): void;
  /** The same for a run that was let in before: a full queue is no reason to lose it now. */
  admit(run: RunRecord): void;
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

/** @param onWaiting told of a run that has begun to wait, when it is let go of */
export function createScheduler(context: RunContext, onWaiting: (run: RunRecord) => void): Scheduler {
  const held = new Map<string, Held>();
  let stopping = false;
  const start = (run: RunRecord, reservation: Reservation) => {
    // Accepted in the last moment: it is durable, and the next start takes it up.
    if (stopping) return reservation.release();
    // It has one holder: whoever came first goes on with it.
    if (held.has(run.request_id)) return reservation.release();
    const entry: Held = { controller: new AbortController(), started: false, done: Promise.resolve() };
    entry.done = carryOut(context, run, reservation, entry).then(
      (waiting) => {
        held.delete(run.request_id);
        if (waiting !== null) onWaiting(waiting);
      },
      (error: unknown) => {
        context.log.error({ err: error, run: run.request_id }, "a run's end could not be stored");
        held.delete(run.request_id);
        // It could not be canceled, and nothing of that was stored: it goes on to wait for its turn.
        if (!entry.started) admit(run);
      },
    );
    held.set(run.request_id, entry);
  };
  const admit = (run: RunRecord) => start(run, context.gate.admit(gateEntry(context, run)));
  return {
    start,
    admit,
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
      const reason = new RunStopped("shutdown", interrupted.message);
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

/** @returns the run when it waits now, else null */
async function carryOut(
  context: RunContext,
  run: RunRecord,
  reservation: Reservation,
  entry: Held,
): Promise<RunRecord | null> {
  const { signal } = entry.controller;
  try {
    return await reservation.run(
      async () => {
        entry.started = true;
        return attempt(context, run, entry.controller);
      },
      { signal },
    );
  } catch (error) {
    if (entry.started) throw error;
    await endUnstarted(context, run, signal);
    return null;
  }
}

async function attempt(
  context: RunContext,
  queued: RunRecord,
  controller: AbortController,
): Promise<RunRecord | null> {
  const { request_id: id } = queued;
  const progress = await atLast(context, id, () => openRunProgress(context, queued));
  try {
    await atLast(context, id, () =>
      progress.become("running", "turn.started", {
        attempt: queued.attempt + 1,
        first_turns: [...queued.first_turns, queued.turns + 1],
        started_at: queued.started_at ?? new Date().toISOString(),
      }),
    );
    const end = await executeRun(context, progress, controller).catch((error: unknown): RunEnd => {
      context.log.error({ err: error, run: id }, "a run failed inside the server");
      return { kind: "ended", result: emptyResult("failed", internalFailure(error)) };
    });
    await learnNeed(context, progress.run, end);
    await storeEnd(context, progress, end);
    const { status } = progress.run;
    return status === "waiting_user" || status === "waiting_auth" ? progress.run : null;
  } finally {
    await progress.close();
  }
}

/** Stores what an attempt came to, or else why that cannot be stored. */
async function storeEnd(context: RunContext, progress: RunProgress, end: RunEnd): Promise<void> {
  const { request_id: id } = progress.run;
  try {
    await atLast(context, id, () => conclude(context, progress, end), isPassing);
  } catch (error) {
    if (isPassing(error) || !context.accepting()) throw error;
    context.log.error({ err: error, run: id }, "what a run came to cannot be stored");
    const message = "What the job came to cannot be stored. The server's log says why.";
    await atLast(context, id, () => runFailed(context, progress, { code: "RESULT_NOT_STORED", message }));
  }
}

/** Stores what an attempt came to. */
async function conclude(context: RunContext, progress: RunProgress, end: RunEnd): Promise<void> {
  switch (end.kind) {
    case "ended":
      return finish(context, progress, end.result);
    case "asks": {
      const { interaction_id } = end.pending;
      const fields = { pending: end.pending, interaction_count: interaction_id, resume: null };
      return progress.become("waiting_user", "turn.needs_input", fields);
    }
    case "needs_login":
      return progress.become("waiting_auth", "auth.required", {
        pending_auth: end.pending,
        credentials_seen: end.credentials,
        resume: end.resume,
      });
    case "interrupted": {
      const next = afterInterruption(context, progress.run, { cause: "stop", worked: progress.jotted });
      if (next === null) return runFailed(context, progress, interrupted);
      return progress.become("queued", "run.interrupted", next);
    }
  }
}

// What the engine's next runs are thought to need. It can be learnt again, so it may not keep the run from ending.
async function learnNeed({ estimates, log }: RunContext, run: RunRecord, end: RunEnd): Promise<void> {
  const { resources: took } = run;
  if (took === null) return;
  const need = { memory_mib: took.peak_memory_mib, pids: took.peak_threads, fds: took.peak_descriptors };
  const whole = end.kind === "ended" ? end.result.status === "success" : end.kind === "asks";
  await estimates
    .note(run.engine, need, whole)
    .catch((error: unknown) =>
      log.warn({ err: error, run: run.request_id }, "what a run took could not be stored"),
    );
}

const isPassing = (error: unknown) => mediumFailure(error) !== null;

// A full disk must not leave a run in limbo: what it came to is stored when there is space again.
async function atLast<T>(
  context: RunContext,
  run: string,
  store: () => Promise<T>,
  isWorthAnother: (error: unknown) => boolean = () => true,
): Promise<T> {
  for (let waitMs = 500; ; waitMs = Math.min(waitMs * 2, 5_000)) {
    try {
      return await store();
    } catch (error) {
      if (!isWorthAnother(error)) throw error;
      context.log.error(
        { err: error, run },
        `a run's state could not be stored; trying again in ${waitMs} ms`,
      );
      if (!context.accepting()) throw error;
      await sleep(waitMs, undefined, { ref: false });
    }
  }
}

// Aborted before it owned a slot. A shutdown leaves it queued: the next start takes it up again.
async function endUnstarted(context: RunContext, run: RunRecord, signal: AbortSignal): Promise<void> {
  if (signal.reason instanceof RunStopped && signal.reason.kind === "shutdown") return;
  const progress = await openRunProgress(context, run);
  try {
    await finish(context, progress, emptyResult("canceled", stopError(signal.reason, run.engine)));
  } finally {
    await progress.close();
  }
}
