import { openEventLog } from "./event-log.ts";
import type { RunRecord } from "./record.ts";
import { describeStep, type ToldSoFar, toldSoFar } from "./state-change.ts";

/**
 * Tells the last step of a run that was stored but not told: a crash came in between, or the log is a copy from just before.
 * @param path of the run's log
 * @returns what the log told before
 */
export async function catchUpLog(path: string, run: RunRecord): Promise<ToldSoFar["change"]> {
  const { change: told, behind } = await toldSoFar(path);
  if ((told?.revision ?? 0) >= run.revision) return told;
  const from = told?.to ?? (run.needs_upload ? "created" : "queued");
  const { request_id: runId, engine, attempt, turns, updated_at } = run;
  const events = await openEventLog(path, { runId, engine });
  for (const event of describeStep(run, from)) {
    // What led to the step may be told already.
    if (!behind.includes(event.type)) events.append(event, { attempt, turn: turns }, null, updated_at);
  }
  await events.close();
  return told;
}
