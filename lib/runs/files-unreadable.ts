import type { RunContext } from "./context.ts";
import { runFailed } from "./finish.ts";
import type { RunRecord } from "./record.ts";
import { FilesUnreadable } from "./run-folders.ts";
import { openRunProgress, type RunProgress } from "./run-progress.ts";
import { nullIfGone, RunTaken } from "./run-store.ts";

/** Whether a run is at another step than this record says, or gone. False while the storage does not say. */
export async function hasMovedOn({ store }: Pick<RunContext, "store">, run: RunRecord): Promise<boolean> {
  try {
    const now = await store.get(run.request_id).catch(nullIfGone);
    return now === null || now.revision !== run.revision;
  } catch {
    return false;
  }
}

/**
 * Opens a run that is to be ended. Where its files can never be read again, without them.
 * @throws RunTaken when the files are missing because the run is at another step by now
 */
export async function openToEnd(context: RunContext, run: RunRecord): Promise<RunProgress> {
  try {
    return await openRunProgress(context, run);
  } catch (error) {
    if (!(error instanceof FilesUnreadable)) throw error;
    if (await hasMovedOn(context, run)) throw new RunTaken();
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
