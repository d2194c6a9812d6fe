import { mediumFailure } from "../storage/index.ts";
import type { RunContext } from "./context.ts";
import type { Resume, RunError } from "./record.ts";
import { cacheKey } from "./result-cache.ts";
import type { RunProgress } from "./run-progress.ts";
import { emptyResult, type RunResult, syncResult, writeResult } from "./run-result.ts";

/**
 * Ends a run: its result file first, then its record, so that whoever reads "succeeded" finds the result.
 * @param how what the event log is to say of the cause, beside the result
 */
export async function finish(
  context: RunContext,
  progress: RunProgress,
  wanted: RunResult,
  how: { trigger?: string; resume?: Resume } = {},
): Promise<void> {
  const result = keepResult(context, progress, wanted);
  const status = result.status === "success" ? "succeeded" : result.status;
  const key = status === "succeeded" ? cacheKey(progress.run) : null;
  const { request_id: id } = progress.run;
  // Before the end is told: who sees it may ask the same again at once.
  if (key !== null) await tidied(context, id, context.cache.remember(key, id));
  const { paths } = progress;
  const { trigger = triggers[status], resume = null } = how;
  const waitsForNothing = { pending: null, pending_auth: null, credentials_seen: null, resume };
  await progress.become(
    status,
    trigger,
    { error: result.error, ...waitsForNothing },
    {
      // An answer must be there for whoever is told of it; an end without one is in the record alone.
      ...(result.status === "success"
        ? { alongside: () => syncResult(paths.result, paths.workspace, result) }
        : {}),
      // Not before: a run whose end a crash took back goes on, and needs them.
      whenStored: () => tidied(context, id, context.secrets.forget(id)),
    },
  );
}

/** Waits for what may not keep a run from ending. Never rejects. */
export function tidied(context: RunContext, id: string, task: Promise<void>): Promise<void> {
  return task.catch((error: unknown) =>
    context.log.warn({ err: error, run: id }, "a run's end was not tidied up"),
  );
}

/** Ends a run without an answer. */
export function runFailed(
  context: RunContext,
  progress: RunProgress,
  error: RunError,
  how: { trigger?: string; resume?: Resume } = {},
): Promise<void> {
  return finish(context, progress, emptyResult("failed", error), how);
}

// What the disk refuses for the moment is tried again by the caller: an answer is not lost for want of space. Anything
// else (something lies where the result belongs) is a failure with a reason, not a stuck run.
function keepResult(context: RunContext, progress: RunProgress, result: RunResult): RunResult {
  const { paths, run } = progress;
  try {
    writeResult(paths.result, result);
    return result;
  } catch (error) {
    if (mediumFailure(error) !== null) throw error;
    context.log.error({ err: error, run: run.request_id }, "a result could not be written");
    if (result.status !== "success") return result;
    const reason = error instanceof Error && "code" in error ? ` (${error.code})` : "";
    const message = `The result could not be written${reason}.`;
    return keepResult(context, progress, emptyResult("failed", { code: "RESULT_NOT_STORED", message }));
  }
}

const triggers = { succeeded: "turn.succeeded", failed: "turn.failed", canceled: "run.canceled" } as const;
