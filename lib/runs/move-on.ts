import type { RunContext } from "./context.ts";
import type { RunRecord } from "./record.ts";
import { openRunProgress, type RunProgress } from "./run-progress.ts";
import type { Scheduler } from "./scheduler.ts";

/** Opens a run that nobody holds, for one change. The caller holds the run's lock. */
export async function inHand<T>(
  context: RunContext,
  scheduler: Scheduler,
  run: RunRecord,
  change: (progress: RunProgress) => Promise<T>,
): Promise<T> {
  // That it waits is seen a moment before its log is closed.
  await scheduler.released(run.request_id);
  const progress = await openRunProgress(context, run);
  try {
    return await change(progress);
  } finally {
    await progress.close();
  }
}

/** Takes a run that waited back into the queue. Durable when it resolves; the caller holds the run's lock. */
export async function moveOn(
  context: RunContext,
  scheduler: Scheduler,
  run: RunRecord,
  trigger: string,
  fields: Partial<Omit<RunRecord, "status">>,
): Promise<void> {
  const queued = await inHand(context, scheduler, run, async (progress) => {
    await progress.become("queued", trigger, fields);
    return progress.run;
  });
  scheduler.admit(queued);
}
