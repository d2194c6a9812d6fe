import { anewSuffix, type Place, type QueuedJob } from "../queue/index.ts";
import type { RunRecord } from "./record.ts";

/** The queue's job of a run that is queued, or of one that is running: that is the one which another server would get. */
export function jobOf(run: RunRecord): QueuedJob {
  const isRunning = run.status === "running";
  return {
    run: run.request_id,
    // It was made with the step before.
    revision: isRunning ? run.revision - 1 : run.revision,
    skill: run.skill_id,
    insteadOf: isRunning && run.job?.endsWith(anewSuffix) ? run.job : null,
    priority: run.runtime_options.priority,
  };
}

/** Where it waits: for one server alone where that one has the agent's session, or has carried the run out. */
export function placeOf(run: RunRecord): Place {
  const goesOn = run.resume !== null && run.resume.session_id !== null && !run.session_in_folder;
  return { engine: run.engine, node: goesOn || run.status === "running" ? run.node : null };
}
