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
  if (told === null || !mayBecome(from, told.to)) return run;
  // An upload that was not answered yet: the job goes on waiting for its files, unless the cache had the answer.
  if (run.status === "created" && told.terminal === undefined) return run;
  const ahead = { ...run, status: told.to, updated_at: told.updated_at };
  if (told.to === "running") return { ...ahead, attempt: run.attempt + 1, started_at: told.updated_at };
  if (told.terminal === undefined) return ahead;
  const { error, diagnostics, turns, usage, resources } = told.terminal;
  const ended = {
    ...ahead,
    error,
    warnings: diagnostics,
    turns,
    usage,
    resources,
    finished_at: told.updated_at,
  };
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
  const unfinished = await context.store.unfinished();
  await context.secrets.forgetAllBut(unfinished);
  for (const id of unfinished) {
    // One run that cannot be taken up must not keep the server from starting, nor be lost: it stays as it is on disk.
    await recoverRun(context, scheduler, id).catch((error: unknown) =>
      context.log.error({ err: error, run: id }, "a run of the last process could not be taken up"),
    );
  }
}

async function recoverRun(context: RunContext, scheduler: Scheduler, id: string): Promise<void> {
  const run = await caughtUp(context, await context.store.get(id));
  if (run.status === "queued") requeue(context, scheduler, run);
  else if (run.status === "running") await failInterrupted(context, run);
  else if (isTerminal(run.status)) {
    // Saved once more: that takes its record among the active ones away.
    await context.store.save(run);
    await context.secrets.forget(id);
  }
}

function requeue(context: RunContext, scheduler: Scheduler, run: RunRecord): void {
  const recovered: RunRecord = {
    ...run,
    recovery_state: "requeued",
    recovery_reason: "The server was restarted while the job was queued.",
    recovered_at: new Date().toISOString(),
  };
  // It was admitted once: a full queue is no reason to lose it now.
  scheduler.start(
    recovered,
    context.gate.admit(() => context.estimates.need(run.engine)),
  );
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
