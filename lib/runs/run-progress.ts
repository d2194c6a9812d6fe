import { type EventLog, openEventLog } from "./event-log.ts";
import { type RunPaths, runPaths } from "./paths.ts";
import type { RunRecord } from "./record.ts";
import type { RunStore } from "./run-store.ts";
import { describeStateChange, stateChangedType } from "./state-change.ts";
import { assertTransition, isTerminal, type RunStatus } from "./transitions.ts";

/**
 * A run in hand: its present record and its open event log. The one place where a run's status changes, so that every
 * change is checked, stored and told in one go. It has one holder at a time.
 */
export interface RunProgress {
  readonly run: RunRecord;
  readonly paths: RunPaths;
  /** Changes fields that are no status; in memory until the next `become`. */
  note(fields: Partial<Omit<RunRecord, "status" | "request_id">>): void;
  /**
   * @param alongside makes durable what belongs to the step; it runs beside the write of the record
   * @throws RunnerError JOB_STATE_CONFLICT for a step the state machine does not have
   */
  become(
    status: RunStatus,
    trigger: string,
    fields?: Partial<Omit<RunRecord, "status">>,
    alongside?: () => Promise<void>,
  ): Promise<void>;
  tell(type: string, data: Record<string, unknown>): void;
  warn(code: string, message: string): void;
  close(): Promise<void>;
}

export async function openRunProgress(
  store: RunStore,
  dataDir: string,
  record: RunRecord,
): Promise<RunProgress> {
  let run = record;
  const paths = runPaths(dataDir, run.request_id);
  const events: EventLog = await openEventLog(paths.events, { runId: run.request_id, engine: run.engine });
  const tell = (type: string, data: Record<string, unknown>) => {
    events.append(type, data, { attempt: run.attempt, turn: run.turns });
  };
  return {
    get run() {
      return run;
    },
    paths,
    tell,
    note(fields) {
      run = { ...run, ...fields };
    },
    async become(status, trigger, fields = {}, alongside = async () => undefined) {
      assertTransition(run.status, status);
      const from = run.status;
      const now = new Date().toISOString();
      run = { ...run, ...fields, status, updated_at: now };
      if (isTerminal(status)) run = { ...run, finished_at: now };
      tell(stateChangedType, describeStateChange(run, from, trigger));
      // Events first: whoever sees the new status finds the whole story behind it. Recovery relies on this order.
      await events.flushed();
      // One flush of the disk serves both; readers see the new record when both are safe.
      await store.save(run, alongside());
    },
    warn(code, message) {
      run = { ...run, warnings: [...run.warnings, { code, message }] };
      tell("diagnostic.warning", { code, message });
    },
    close: () => events.close(),
  };
}
