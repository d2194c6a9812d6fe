import type { JobQueue, TakenJob } from "../queue/index.ts";
import type { RunContext } from "./context.ts";
import { failWithoutFiles } from "./files-unreadable.ts";
import { runFailed } from "./finish.ts";
import { afterInterruption, interrupted } from "./interruption.ts";
import { jobOf, placeOf } from "./queued-job.ts";
import type { RunRecord } from "./record.ts";
import { FilesUnreadable } from "./run-folders.ts";
import { openRunProgress } from "./run-progress.ts";

/** Decides what a job of the queue means for its run: where several servers can have it, the record says which one counts. */
export interface Takeover {
  /** The queued run that this job is for; null when there is nothing to carry out (any more, or here). */
  ready(job: TakenJob, run: RunRecord): Promise<RunRecord | null>;
}

/**
 * The rule, in one place:
 * - queued, by the step that the job was made for: it is carried out, unless its session lies on another server;
 * - running, for this very job: whoever carried it out has lost its lease. Its own server goes on with it as after a restart;
 *   when that one is gone for good, the attempt is made anew;
 * - anything else: the job is of an earlier step.
 * @param ensure puts a run that was queued again into the queue
 */
export function createTakeover(
  context: RunContext,
  queue: JobQueue,
  ensure: (run: RunRecord) => Promise<void>,
): Takeover {
  return {
    async ready(job, run) {
      if (run.status === "queued" && run.revision === job.revision) return queued(job, run);
      if (run.status === "running" && (run.job === job.id || run.job === job.insteadOf))
        await goOn(job, run).catch(async (error: unknown) => {
          if (!(error instanceof FilesUnreadable)) throw error;
          await failWithoutFiles(context, run);
        });
      return null;
    },
  };

  async function queued(job: TakenJob, run: RunRecord): Promise<RunRecord | null> {
    const at = placeOf(run).node;
    if (at === null || at === queue.node) return run;
    if (job.insteadOf === null) {
      await sendOn(run);
      return null;
    }
    return anew(run);
  }

  async function goOn(job: TakenJob, run: RunRecord): Promise<void> {
    const isOurs = run.node === queue.node || run.node === null;
    if (!(isOurs || job.insteadOf !== null)) return sendOn(run);
    const progress = await openRunProgress(context, isOurs ? run : anew(run));
    try {
      const next = isOurs
        ? afterInterruption(context, run, { cause: "crash", worked: run.worked })
        : afterInterruption(context, progress.run, { cause: "crash", worked: false });
      const how = isOurs ? "goes on" : "is carried out anew, as that server is gone";
      const recovered = {
        recovery_reason: `The server that carried the job out was cut off; the job ${how}.`,
        recovered_at: new Date().toISOString(),
      };
      if (next === null) {
        progress.note({ ...recovered, recovery_state: "failed_reconciled" });
        return await runFailed(context, progress, interrupted);
      }
      const fields = { ...next, ...recovered, recovery_state: "requeued" as const };
      await progress.become("queued", "run.interrupted", fields);
    } finally {
      await progress.close();
    }
    await ensure(progress.run);
  }

  // To the one server that can go on with it.
  async function sendOn(run: RunRecord): Promise<void> {
    // The job it comes from is over after that: a crash in between leaves two, of which one is found to be of no use.
    await queue.add(jobOf(run), placeOf(run));
  }

  /** A run whose session, and whose files since its last step, lay on a server that is gone. */
  function anew(run: RunRecord): RunRecord {
    if (run.session_in_folder && run.resume !== null) return run;
    const code = "BEGUN_ANEW";
    const message = "The server that had the agent's session is gone: the work was begun anew.";
    const warnings = [...run.warnings, { code, message }];
    return { ...run, resume: null, session_id: null, warnings };
  }
}
