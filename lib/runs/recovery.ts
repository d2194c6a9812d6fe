import { trackingVariable } from "../agents/index.ts";
import type { RunContext } from "./context.ts";
import { runPaths } from "./paths.ts";
import { sweepByEnvironment } from "./process-tree.ts";
import type { RunRecord } from "./record.ts";
import { openRunProgress } from "./run-progress.ts";
import { emptyResult } from "./run-result.ts";
import { finish, type Scheduler } from "./scheduler.ts";
import { lastStateChange } from "./state-change.ts";
import { isTerminal, mayBecome } from "./transitions.ts";

/**
 * The record as its event log says it should be. A status is told before it is stored, so a crash between the two
 * leaves the log one step ahead; telling that step again would tell it twice.
 */
async function caughtUp(context: RunContext, run: RunRecord): Promise<RunRecord> {
  const told = await lastStateChange(runPaths(context.dataDir, run.request_id).events);
  // A queued record may have been running: that step is told, not stored.
  const from = run.status === "queued" && told?.to !== "running" ? "running" : run.status;
  if (told === null || run.status === "created" || !mayBecome(from, told.to)) return run;
  const ahead = { ...run, status: told.to, updated_at: told.updated_at };
  if (told.to === "running") return { ...ahead, attempt: run.attempt + 1, started_at: told.updated_at };
  if (told.terminal === undefined) return ahead;
  const { error, diagnostics, turns, usage } = told.terminal;
  const ended = { ...ahead, error, warnings: diagnostics, turns, usage, finished_at: told.updated_at };
  await context.store.save(ended);
  return ended;
}

/**
 * What happens at start to every run that had not ended when the server last stopped. The rule, in one place:
 * - created: still waits for its files; nothing to do.
 * - queued: takes its place in the queue again, oldest first.
 * - running: its agent, if one is left, is ended; the run fails with ORCHESTRATOR_RESTART_INTERRUPTED.
 */
export async function recoverRuns(context: RunContext, scheduler: Scheduler): Promise<void> {
  for (const id of await context.store.unfinished()) {
    const stored = await context.store.get(id).catch(() => null);
    const run = stored && (await caughtUp(context, stored));
    if (run === null || isTerminal(run.status)) await sweepMarker(context, id, run);
    else if (run.status === "queued") requeue(context, scheduler, run);
    else if (run.status === "running") await failInterrupted(context, run);
  }
}

// A marker without a living record: the crash came between the two writes of an accept or of an end.
async function sweepMarker(context: RunContext, id: string, run: RunRecord | null): Promise<void> {
  if (run === null) await context.store.remove(id);
  else await context.store.save(run);
  await context.secrets.forget(id);
}

function requeue(context: RunContext, scheduler: Scheduler, run: RunRecord): void {
  const recovered: RunRecord = {
    ...run,
    recovery_state: "requeued",
    recovery_reason: "The server was restarted while the job was queued.",
    recovered_at: new Date().toISOString(),
  };
  // It was admitted once: a full queue is no reason to lose it now.
  scheduler.start(recovered, context.gate.admit());
}

async function failInterrupted(context: RunContext, run: RunRecord): Promise<void> {
  await sweepByEnvironment(trackingVariable, run.request_id);
  const reason = "The server was stopped while the run was in progress. Send the job again.";
  const progress = await openRunProgress(context.store, context.dataDir, run);
  try {
    progress.note({
      recovery_state: "failed_reconciled",
      recovery_reason: reason,
      recovered_at: new Date().toISOString(),
    });
    await finish(
      context,
      progress,
      emptyResult("failed", { code: "ORCHESTRATOR_RESTART_INTERRUPTED", message: reason }),
    );
  } finally {
    await progress.close();
  }
  context.log.warn({ run: run.request_id }, "a run was interrupted by a restart and has failed");
}
