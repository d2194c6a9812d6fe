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

/** Most that agents' events may take in a run's log, in bytes. */
const maxEventBytes = 64 * 1024 * 1024;
const eventsCut = {
  code: "EVENTS_CUT",
  message: "The run tells more than its event log holds; see the job's logs for the rest.",
};

export async function openRunProgress(
  store: RunStore,
  dataDir: string,
  record: RunRecord,
): Promise<RunProgress> {
  let run = record;
  const paths = runPaths(dataDir, run.request_id);
  const events: EventLog = await openEventLog(paths.events, { runId: run.request_id, engine: run.engine });
  let full = false;
  // A CLI that never stops talking fills its own log, not the disk: states are still told, and the logs hold the rest.
  const tell = (type: string, data: Record<string, unknown>) => {
    if (full) return;
    full = events.bytes > maxEventBytes;
    const meta = { attempt: run.attempt, turn: run.turns };
    if (full) events.append("diagnostic.warning", eventsCut, meta);
    else events.append(type, data, meta);
  };
  let unsaved: RunRecord | null = null;
  const step = (status: RunStatus, trigger: string, fields: Partial<RunRecord>): RunRecord => {
    assertTransition(run.status, status);
    const now = new Date().toISOString();
    const next = { ...run, ...fields, status, updated_at: now };
    if (isTerminal(status)) next.finished_at = now;
    const data = describeStateChange(next, run.status, trigger);
    events.append(stateChangedType, data, { attempt: next.attempt, turn: next.turns });
    return next;
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
      // A step that was told but could not be stored is only stored when it is tried again, never told twice.
      unsaved ??= step(status, trigger, fields);
      // Events first: whoever sees the new status finds the whole story behind it. Recovery relies on this order.
      await events.flushed();
      // One flush of the disk serves both; readers see the new record when both are safe.
      await store.save(unsaved, alongside());
      run = unsaved;
      unsaved = null;
    },
    warn(code, message) {
      run = { ...run, warnings: [...run.warnings, { code, message }] };
      tell("diagnostic.warning", { code, message });
    },
    close: () => events.close(),
  };
}
