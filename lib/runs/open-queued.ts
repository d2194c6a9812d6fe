import { setTimeout as sleep } from "node:timers/promises";
import { cancelRun } from "./cancel-run.ts";
import type { RunContext } from "./context.ts";
import { failWithoutFiles } from "./files-unreadable.ts";
import type { RunRecord } from "./record.ts";
import { FilesUnreadable } from "./run-folders.ts";
import { openRunProgress, type RunProgress } from "./run-progress.ts";
import { hasMovedOn, RunTaken } from "./run-store.ts";
import { isLost, isStoppedBy } from "./stop-reason.ts";

/** Times that a copy is read which is not what was written. */
const readTries = 3;
/** Milliseconds after which a job that cannot be opened is left to other servers, where there are some. */
const openPatienceMs = 30_000;

/**
 * Opens a queued run that is to be carried out, as soon as its files are here and its log can be written to.
 * @returns the run's progress, or its record when it has ended: it was canceled meanwhile, or its files can never be read
 * @throws RunTaken when it is at another step by now, gone, or lost to another server; and, where several servers share the
 * queue, what is in the way when it stays there
 */
export async function openQueued(
  context: RunContext,
  run: RunRecord,
  signal: AbortSignal,
): Promise<{ progress: RunProgress } | { ended: RunRecord }> {
  const { store, log, accepting } = context;
  const { request_id: id } = run;
  const since = performance.now();
  for (let waitMs = 500, tries = 1; ; waitMs = Math.min(waitMs * 2, 5_000), tries++) {
    if (isLost(signal)) throw new RunTaken();
    try {
      // A server that shuts down leaves it to the next start.
      if (tries > 1 && signal.aborted && !isStoppedBy(signal, "shutdown")) {
        await cancelRun(context, run, signal.reason);
        return { ended: await store.get(id) };
      }
      if (tries > readTries) return { ended: await failWithoutFiles(context, run) };
      return { progress: await openRunProgress(context, run) };
    } catch (error) {
      if (error instanceof RunTaken) throw error;
      if (await hasMovedOn(store, run)) throw new RunTaken();
      if (!accepting()) throw error;
      if (!(error instanceof FilesUnreadable)) {
        tries = 1;
        if (store.isShared && performance.now() - since > openPatienceMs) throw error;
      }
      log.error({ err: error, run: id }, `a run could not be begun; trying again in ${waitMs} ms`);
      // A cancel cuts the wait short once, and is tried again like all else.
      const cutShort = signal.aborted ? {} : { signal };
      await sleep(waitMs, undefined, { ref: false, ...cutShort }).catch(() => undefined);
    }
  }
}
