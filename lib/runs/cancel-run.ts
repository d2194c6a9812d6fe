import type { RunContext } from "./context.ts";
import { openToEnd } from "./files-unreadable.ts";
import { finish } from "./finish.ts";
import { stopError } from "./judge.ts";
import type { RunRecord } from "./record.ts";
import { emptyResult } from "./run-result.ts";
import { RunStopped } from "./stop-reason.ts";

/** Why a job ends that its caller has canceled. */
export function canceledByCaller(): RunStopped {
  return new RunStopped("cancel", "The job was canceled.");
}

/** Ends a run, which nobody carries out, as canceled. @param reason what it was stopped by */
export async function cancelRun(context: RunContext, run: RunRecord, reason: unknown): Promise<void> {
  const progress = await openToEnd(context, run);
  try {
    await finish(context, progress, emptyResult("canceled", stopError(reason, run.engine)));
  } finally {
    await progress.close();
  }
}
