import { existsSync } from "node:fs";
import { trackingVariable } from "../agents/index.ts";
import { RunnerError } from "../errors.ts";
import { unselected } from "./auth-challenge.ts";
import { catchUpLog } from "./catch-up-log.ts";
import type { RunContext } from "./context.ts";
import { runFailed } from "./finish.ts";
import { afterInterruption, interrupted } from "./interruption.ts";
import { isRunId, runPaths } from "./paths.ts";
import { sweepByEnvironment } from "./process-tree.ts";
import type { RunRecord } from "./record.ts";
import { openRunProgress } from "./run-progress.ts";
import type { Scheduler } from "./scheduler.ts";
import { tellChallenge } from "./sign-in.ts";
import { isTerminal } from "./transitions.ts";
import { turnsOnDisk } from "./turns-on-disk.ts";
import type { Waiting } from "./waiting.ts";

/**
 * What happens at start to every run that had not ended when the server last stopped. The rule, in one place:
 * - created: still waits for its files; nothing to do.
 * - queued: takes its place in the queue again, which begins to move when all have theirs.
 * - running: its agent, if one is left, is ended; then what `afterInterruption` says.
 * - waiting_user, waiting_auth: waits on; its time goes on from when it began to wait.
 */
export interface Recovery {
  /** Takes up all of them. One that cannot be taken up (a full disk) keeps nobody from starting: it is tried again. */
  recover(): Promise<void>;
  /**
   * Takes a run up that could not be taken up yet; nothing happens for any other. The caller holds the run's lock, and is
   * about to do something with it.
   * @throws RunnerError STORAGE_FAILED when that does not work now either
   */
  takeUpNow(id: string): Promise<void>;
  /** The run is gone. */
  forget(id: string): void;
}

/** Milliseconds until a run that could not be taken up is tried again. */
const againMs = 5_000;

export function createRecovery(context: RunContext, scheduler: Scheduler, waiting: Waiting): Recovery {
  /** Runs that are still to be taken up. */
  const left = new Set<string>();
  // What cannot be told now is told with the next try: one full disk must not keep the others waiting.
  const atOnce: RunContext = { ...context, accepting: () => false };

  async function takeUp(id: string): Promise<void> {
    if (!left.has(id)) return;
    try {
      await recoverRun(atOnce, scheduler, waiting, id);
    } catch (error) {
      // Deleted meanwhile.
      if (!(error instanceof RunnerError && error.code === "JOB_NOT_FOUND")) throw error;
    }
    left.delete(id);
  }

  async function keepTrying(id: string): Promise<void> {
    await context
      .locked(id, () => takeUp(id))
      .catch((error: unknown) => {
        context.log.error(
          { err: error, run: id },
          `a run could not be taken up; trying again in ${againMs} ms`,
        );
        setTimeout(() => context.accepting() && void keepTrying(id), againMs).unref();
      });
  }

  return {
    async recover() {
      const unfinished = await context.store.unfinished();
      await context.secrets.adopt(unfinished);
      await context.secrets.forgetAllBut(unfinished);
      // Whatever still runs for a run of this data directory lost its server.
      const isOurs = (id: string) => isRunId(id) && existsSync(runPaths(context.dataDir, id).root);
      await sweepByEnvironment(trackingVariable, isOurs);
      for (const id of unfinished) left.add(id);
      // They come by age, and are served by priority.
      const open = context.gate.hold();
      try {
        for (const id of unfinished) await keepTrying(id);
      } finally {
        open();
      }
    },
    async takeUpNow(id) {
      if (!left.has(id)) return;
      await takeUp(id).catch((error: unknown) => {
        const message = "The job could not be taken up after the server's restart. Try again in a moment.";
        throw new RunnerError("STORAGE_FAILED", message, { cause: error, retryAfterSeconds: 5 });
      });
    },
    forget: (id) => void left.delete(id),
  };
}

async function recoverRun(
  context: RunContext,
  scheduler: Scheduler,
  waiting: Waiting,
  id: string,
): Promise<void> {
  const stored = await context.store.get(id);
  await context.folders.here(stored);
  const run = await caughtUp(context, stored);
  if (run.status === "queued") requeue(scheduler, run);
  else if (run.status === "running") await goOn(context, scheduler, run, stored.status === "running");
  else if (isTerminal(run.status)) {
    // Shown once more: that takes its record among the active ones away.
    await context.store.show(run);
    await context.secrets.forget(id);
  } else if (run.status !== "created") {
    const reason = "The server was restarted while the job was waiting.";
    const recovered: RunRecord = { ...run, ...recoveredAs("recovered_waiting", reason) };
    await context.store.show(recovered);
    waiting.watch(await withoutDeviceLogin(context, recovered));
  }
}

/** A login by device code ended with the server that had begun it: its code is worth nothing any more. */
async function withoutDeviceLogin(context: RunContext, run: RunRecord): Promise<RunRecord> {
  const { pending_auth } = run;
  if (pending_auth?.auth_method !== "device_code") return run;
  const progress = await openRunProgress(context, run);
  try {
    await tellChallenge(
      progress,
      unselected(pending_auth, "The server was restarted. Select the login again."),
    );
    return progress.run;
  } finally {
    await progress.close();
  }
}

/**
 * The record and its event log, brought to the same step. A step is stored, then told: a log that is behind is
 * completed from the record. The step to running is only told, so a record may be behind by that one.
 */
async function caughtUp(context: RunContext, run: RunRecord): Promise<RunRecord> {
  const told = await catchUpLog(runPaths(context.dataDir, run.request_id).events, run);
  const toldRevision = told?.revision ?? 0;
  if (told?.to !== "running" || toldRevision !== run.revision + 1) return run;
  return {
    ...run,
    status: "running",
    revision: toldRevision,
    updated_at: told.updated_at,
    attempt: run.attempt + 1,
    first_turns: [...run.first_turns, run.turns + 1],
    started_at: run.started_at ?? told.updated_at,
  };
}

function requeue(scheduler: Scheduler, run: RunRecord): void {
  const recovered: RunRecord = {
    ...run,
    ...recoveredAs("requeued", "The server was restarted while the job was queued."),
  };
  // It was admitted once: a full queue is no reason to lose it now.
  scheduler.admit(recovered);
}

/** @param worked the record was stored while the run was running: that is done when its agent begins to work */
async function goOn(
  context: RunContext,
  scheduler: Scheduler,
  run: RunRecord,
  worked: boolean,
): Promise<void> {
  const turns = await turnsOnDisk(runPaths(context.dataDir, run.request_id), run.turns);
  const next = afterInterruption(context, run, { cause: "crash", worked });
  const progress = await openRunProgress(context, { ...run, turns });
  try {
    if (next === null) {
      progress.note(recoveredAs("failed_reconciled", interrupted.message));
      await runFailed(context, progress, interrupted);
      context.log.warn({ run: run.request_id }, "a run was interrupted by a restart and has failed");
      return;
    }
    const how = worked ? "goes on in its agent's session" : "begins its attempt anew";
    const reason = `The server was restarted while the job was running; it ${how}.`;
    await progress.become("queued", "run.interrupted", { ...next, ...recoveredAs("requeued", reason) });
  } finally {
    await progress.close();
  }
  scheduler.admit(progress.run);
}

function recoveredAs(state: RunRecord["recovery_state"], reason: string) {
  return { recovery_state: state, recovery_reason: reason, recovered_at: new Date().toISOString() };
}
