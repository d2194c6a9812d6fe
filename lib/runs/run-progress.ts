import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { mediumFailure } from "../storage/index.ts";
import { allDone } from "./all-done.ts";
import type { RunContext } from "./context.ts";
import { type EventLog, openEventLog, type RawRef } from "./event-log.ts";
import type { ToldEvent } from "./event-types.ts";
import type { RunPaths } from "./paths.ts";
import type { RunRecord } from "./record.ts";
import { FilesUnreadable } from "./run-folders.ts";
import { hasMovedOn, RunTaken } from "./run-store.ts";
import { describeStep } from "./state-change.ts";
import { assertTransition, isTerminal, type RunStatus } from "./transitions.ts";

/**
 * A run in hand: its present record and its open event log. The one place where a run's status changes, so that every
 * change is checked, stored and told in one go. It has one holder at a time.
 */
export interface RunProgress {
  readonly run: RunRecord;
  readonly paths: RunPaths;
  /** Changes fields that are no status; in memory until the next `become` or `jot`. */
  note(fields: Partial<Omit<RunRecord, "status" | "request_id">>): void;
  /** Stores what was noted, so that the server's crash does not lose it, as well as it can: never rejects. */
  jot(): Promise<void>;
  /** Whether anything was jotted down since the run was last stored. */
  readonly jotted: boolean;
  /**
   * Called again with the same status after a failure, it goes on where it failed: nothing is stored or told twice. A step
   * that is stored counts: it is tried for as long as it takes (or the server lives) to tell it, so that nobody hears of a
   * failure, or goes another way, behind which it comes true after a crash.
   * @throws RunnerError JOB_STATE_CONFLICT for a step the state machine does not have
   */
  become(
    status: RunStatus,
    trigger: string,
    fields?: Partial<Omit<RunRecord, "status">>,
    also?: StepExtras,
  ): Promise<void>;
  /** Changes fields of a run that waits, durably, and tells of it: its status stays. */
  amend(fields: Partial<Omit<RunRecord, "status">>, event: ToldEvent): Promise<void>;
  tell(event: ToldEvent): void;
  /**
   * Tells what the agent said, as long as the log has room for it.
   * @param raw the bytes of the agent's output that it was read from
   */
  relay(event: ToldEvent, raw: RawRef | null): void;
  warn(code: string, message: string): void;
  close(): Promise<void>;
}

/** What belongs to a step beside its record. */
export interface StepExtras {
  /** Makes durable what the record speaks of; runs beside its write. */
  alongside?(): Promise<void>;
  /** Runs when the step is durable, before anybody hears of it. Never rejects. */
  whenStored?(): Promise<void>;
}

/** Size of a run's log from which on its agents are no longer relayed, in bytes. */
const maxEventBytes = 64 * 1024 * 1024;
const eventsCut = {
  code: "EVENTS_CUT",
  message: "The run tells more than its event log holds; see the job's logs for the rest.",
};

/** A step on its way: what it makes of the run, and how far it has come. */
interface Step {
  run: RunRecord;
  /** Its files are in the storage. */
  kept: boolean;
  stored: boolean;
  told: boolean;
}

export type ProgressParts = Pick<RunContext, "store" | "feeds" | "folders" | "accepting" | "log">;

/** @throws RunTaken when the run is at another step by now; FilesUnreadable */
export async function openRunProgress(
  { store, feeds, folders, accepting, log }: ProgressParts,
  record: RunRecord,
): Promise<RunProgress> {
  // Who stores it from here on is known by this name to a storage that others write to as well.
  let run = store.isShared ? { ...record, holder: randomUUID() } : record;
  const { request_id: runId, engine } = run;
  let step: Step | null = null;
  // Before the log is looked at: what whoever held the run before tells from now on is not heard.
  const fence = run.revision + 2;
  const disclaim = await feeds.claim(runId, fence);
  const { paths, release: letGo } = await folders.hold(run).catch(async (error: unknown) => {
    disclaim();
    // The copy that the record names goes when the next step is stored.
    if (error instanceof FilesUnreadable && (await hasMovedOn(store, record))) throw new RunTaken();
    throw error;
  });
  const release = () => {
    letGo();
    disclaim();
  };
  const events: EventLog = await openEventLog(paths.events, { runId, engine }, (lines) =>
    feeds.publish(runId, lines, Math.max(fence, (step?.run ?? run).revision + 1)),
  ).catch((error: unknown) => {
    release();
    throw error;
  });
  const tell = (event: ToldEvent, raw: RawRef | null = null) => {
    events.append(event, metaOf(run), raw);
  };
  const warn = (code: string, message: string) => {
    run = { ...run, warnings: [...run.warnings, { code, message }] };
    tell({ type: "diagnostic.warning", data: { code, message } });
  };
  const untilFlushed = async () => {
    for (let waitMs = 100; ; waitMs = Math.min(waitMs * 2, 5_000)) {
      try {
        return await events.flushed();
      } catch (error) {
        if (!accepting() || mediumFailure(error) === null) throw error;
        log.error({ err: error, run: runId }, `a step could not be told; trying again in ${waitMs} ms`);
        await sleep(waitMs, undefined, { ref: false });
      }
    }
  };
  const tidied = (stored: RunRecord) =>
    folders
      .tidy(stored)
      .catch((error: unknown) =>
        log.warn({ err: error, run: runId }, "copies of a job that are of no use stay"),
      );
  let jotting: Promise<void> | null = null;
  return {
    get run() {
      return run;
    },
    paths,
    tell,
    relay(event, raw) {
      // A CLI that never stops talking fills its own log, not the disk: the logs hold the rest.
      if (events.bytes <= maxEventBytes) tell(event, raw);
      else if (!run.warnings.some(({ code }) => code === eventsCut.code))
        warn(eventsCut.code, eventsCut.message);
    },
    note(fields) {
      run = { ...run, ...fields };
    },
    get jotted() {
      return jotting !== null;
    },
    jot() {
      run = { ...run, worked: true };
      const latest = run;
      const write = () => store.jot(latest).catch(() => undefined);
      jotting = jotting === null ? write() : jotting.then(write);
      return jotting;
    },
    async become(status, trigger, fields = {}, { alongside, whenStored } = {}) {
      if (step !== null && step.run.status !== status) step = null;
      step ??= { run: nextOf(run, status, trigger, fields), kept: false, stored: false, told: false };
      // What the agent said before is in the log by the time that the record says it is over.
      await Promise.all([events.flushed(), jotting]);
      // The record first: a step that was told was stored. Only the step to running is told alone, as it comes with every
      // run and need not cost a trip to the disk. After a crash, recovery completes whichever is behind.
      if (!step.stored && (status !== "running" || store.isShared)) {
        // Before the record, which names it: who sees the step, wherever, finds the files that belong to it.
        if (!step.kept && status !== "running") {
          const folder = await folders.keep(step.run);
          if (folder !== null) step.run = { ...step.run, folder };
        }
        // Once: a record that was stored though it did not seem so names this copy.
        step.kept = true;
        await allDone([store.write(step.run), alongside?.()]);
        await whenStored?.();
        if (status !== "running") await tidied(step.run);
      }
      step.stored = true;
      if (!step.told) {
        // As of the record: a log that is completed from it tells the same.
        for (const event of describeStep(step.run, run.status))
          events.append(event, metaOf(step.run), null, step.run.updated_at);
      }
      step.told = true;
      await untilFlushed();
      // Last: whoever sees the new status finds the whole story behind it.
      run = step.run;
      step = null;
      jotting = null;
      await store.show(run);
    },
    async amend(fields, event) {
      const amended = { ...run, ...fields, updated_at: new Date().toISOString() };
      await store.write(amended);
      run = amended;
      tell(event);
      await untilFlushed();
      await store.show(run);
    },
    warn,
    close: () => events.close().finally(release),
  };
}

function nextOf(run: RunRecord, status: RunStatus, trigger: string, fields: Partial<RunRecord>): RunRecord {
  assertTransition(run.status, status);
  const now = new Date().toISOString();
  const next = { ...run, ...fields, status, trigger, revision: run.revision + 1, updated_at: now };
  return isTerminal(status) ? { ...next, finished_at: now } : next;
}

function metaOf({ attempt, turns }: RunRecord) {
  return { attempt, turn: turns };
}
