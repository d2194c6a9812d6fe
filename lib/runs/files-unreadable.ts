import type { RunContext } from "./context.ts";
import { runFailed } from "./finish.ts";
import type { RunRecord } from "./record.ts";
import { FilesUnreadable } from "./run-folders.ts";
import { openRunProgress, type RunProgress } from "./run-progress.ts";

/**
 * Opens a run that is to be ended. Where its files can never be read again, without them.
 * @throws RunTaken when the files are missing because the run is at another step by now
 */
export async function openToEnd(context: RunContext, run: RunRecord): Promise<RunProgress> {
  try {
    return await openRunProgress(context, run);
  } catch (error) {
    if (!(error instanceof FilesUnreadable)) throw error;
    context.log.error({ err: error, run: run.request_id }, "a run is ended without its files");
    return openRunProgress(context, { ...run, folder: null });
  }
}

/** Ends a run whose files can never be read again. @throws RunTaken when it is at another step by now */
export async function failWithoutFiles(context: RunContext, run: RunRecord): Promise<RunRecord> {
  const progress = await openToEnd(context, run);
  try {
    const message = "The copy of the job's files in the storage cannot be read. Send the job again.";
    await runFailed(context, progress, { code: "STORAGE_FAILED", message });
    return progress.run;
  } finally {
    await progress.close();
  }
}
