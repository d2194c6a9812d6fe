import type { Reservation } from "../capacity/index.ts";
import { attempt } from "./attempt.ts";
import { cancelRun } from "./cancel-run.ts";
import type { RunContext } from "./context.ts";
import { gateEntry } from "./gate-entry.ts";
import { interrupted } from "./interruption.ts";
import type { RunRecord } from "./record.ts";
import { RunStopped } from "./stop-reason.ts";
import { waitsForSomebody } from "./transitions.ts";

/** Takes queued runs through the gate to the end of their attempt. It alone writes the record of a run that it holds. */
export interface Scheduler {
  /**
   * A place in the queue, taken before anything is written: a refusal leaves nothing behind.
   * @throws RunnerError ENGINE_NOT_INSTALLED, SANDBOX_REQUIRED, QUEUE_FULL
   */
  reserve(run: RunRecord): Promise<Reservation>;
  /** Queues a run whose record says `queued`. Returns at once; the run goes on by itself. */
  start(run: RunRecord, reservation: Reservation): void;
  /** The same for a run that was let in before: a full queue is no reason to lose it now. */
  admit(run: RunRecord): void;
  /** Resolves when a run whose end is told already is let go of: its log is closed a moment later. */
  released(id: string): Promise<void>;
  /**
   * Ends a queued or running run. Resolves when it has ended, or with false when it was neither, or (of another server's run)
   * has not ended in good time: then it ends as soon as that server, or one that takes it over, can be reached.
   */
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
    async reserve(run) {
      await context.engines.installed(run.engine);
      await context.engines.assertSandboxed();
      return context.gate.reserve(gateEntry(context, run));
    },
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
        return waitingOrNull(await attempt(context, run, entry.controller));
      },
      { signal },
    );
  } catch (error) {
    if (entry.started) throw error;
    await endUnstarted(context, run, signal);
    return null;
  }
}

// Aborted before it owned a slot. A shutdown leaves it queued: the next start takes it up again.
async function endUnstarted(context: RunContext, run: RunRecord, signal: AbortSignal): Promise<void> {
  if (signal.reason instanceof RunStopped && signal.reason.kind === "shutdown") return;
  await cancelRun(context, run, signal.reason);
}

/** The run when it waits for somebody, else null. */
export function waitingOrNull(run: RunRecord): RunRecord | null {
  return waitsForSomebody(run.status) ? run : null;
}
