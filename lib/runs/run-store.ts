import { LRUCache } from "lru-cache";
import { RunnerError } from "../errors.ts";
import type { RecordStore } from "../storage/index.ts";
import { allDone } from "./all-done.ts";
import { type RunRecord, runRecord } from "./record.ts";
import { createRunIndex } from "./run-index.ts";
import { isTerminal } from "./transitions.ts";

export interface RunFilter {
  status?: string | undefined;
  skill_id?: string | undefined;
  engine?: string | undefined;
}

export interface RunPage {
  runs: RunRecord[];
  /** Id to hand in as `before` for the next page, or null at the end. A page may be short and still have one. */
  next: string | null;
}

/** The records of all runs. */
export interface RunStore {
  /** Other servers write here, too: every step is stored before it is told, and none counts that was made on old ground. */
  readonly isShared: boolean;
  /** Makes a run exist. Durable when it resolves. */
  create(run: RunRecord): Promise<void>;
  /** The record, if it need not be read from the disk. */
  inMemory(id: string): RunRecord | undefined;
  /** @throws RunnerError JOB_NOT_FOUND */
  get(id: string): Promise<RunRecord>;
  /**
   * Makes a new record of a run durable. Readers do not see it before `show`.
   * @throws RunTaken when somebody else has taken the run in hand since (on a shared store)
   */
  write(run: RunRecord): Promise<void>;
  /** Stores a record so that a `kill -9` does not lose it; a power cut may. Readers do not see it before `show`. */
  jot(run: RunRecord): Promise<void>;
  /** Lets readers see a record that `write` has made durable. */
  show(run: RunRecord): Promise<void>;
  /** The record as readers see it, once it fits or the signal aborts. @throws RunnerError JOB_NOT_FOUND */
  until(id: string, fits: (run: RunRecord) => boolean, signal: AbortSignal): Promise<RunRecord>;
  /** @throws RunTaken when the run is not any more what it was (on a shared store): it is left alone then */
  remove(run: RunRecord): Promise<void>;
  /**
   * Takes back a run that `create` may have made, though it failed, if nobody else has taken it in hand. May be called again.
   * In one process, nobody sees the run from here on, whether the storage answers or not.
   * @returns whether it is gone
   */
  retract(run: RunRecord): Promise<boolean>;
  /** Newest first. */
  page(options: { before?: string | undefined; limit: number; filter?: RunFilter }): Promise<RunPage>;
  /** Ids of the runs that have not ended (and, after a crash, of some that just have), oldest first. */
  unfinished(): Promise<string[]>;
  /** Days (`2026-11-24`) that have runs, oldest first. */
  days(): Promise<string[]>;
  idsOfDay(day: string): Promise<string[]>;
  /** Drops what is left of a day whose runs are all removed. */
  dropDay(day: string): Promise<void>;
}

const recordsInMemory = 2_000;

/** For one process: a record in memory is the record on disk, and a run that is accepted costs one durable write. */
export function createRunStore(records: RecordStore): RunStore {
  const recent = new LRUCache<string, RunRecord>({ max: recordsInMemory });
  /** Removed a short while ago. */
  const gone = new LRUCache<string, true>({ max: recordsInMemory });
  /** Runs that have not ended: what memory knows of them may be newer than the disk, so it is never dropped. */
  const living = new Map<string, RunRecord>();
  const listeners = new Map<string, Set<(run: RunRecord) => void>>();
  const remember = (run: RunRecord): void => {
    living.delete(run.request_id);
    if (isTerminal(run.status)) recent.set(run.request_id, run);
    else living.set(run.request_id, run);
  };
  const stored = async (id: string): Promise<unknown> =>
    (await records.read(endedKey(id))) ?? (await records.read(activeKey(id)));
  const inMemory = (id: string) => living.get(id) ?? recent.get(id);
  const read = async (id: string): Promise<RunRecord | null> => {
    const known = inMemory(id);
    if (known) return known;
    const parsed = runRecord.safeParse(await stored(id));
    if (!parsed.success || gone.has(id)) return null;
    // Another caller may have changed it while it was being read.
    const meanwhile = inMemory(id);
    if (meanwhile) return meanwhile;
    remember(parsed.data);
    return parsed.data;
  };
  const index = createRunIndex(records, read);
  const { activeKey, endedKey, keyOf, get } = index;
  const hide = (id: string): void => {
    gone.set(id, true);
    recent.delete(id);
    living.delete(id);
  };
  const removeRecords = (id: string) =>
    allDone([records.remove(endedKey(id)), records.remove(activeKey(id))]);
  return {
    isShared: false,
    async create(run) {
      await records.write(keyOf(run), run);
      remember(run);
    },
    inMemory,
    get,
    write: (run) => records.write(keyOf(run), run),
    jot: (run) => records.write(keyOf(run), run, { durable: false }),
    async show(run) {
      remember(run);
      for (const listener of listeners.get(run.request_id) ?? []) listener(run);
      if (!isTerminal(run.status)) return;
      // If it stays, or a power cut brings it back: the ended record is read, and the next start takes this away again.
      await records.remove(activeKey(run.request_id), { durable: false }).catch(() => undefined);
    },
    async until(id, fits, signal) {
      const run = await get(id);
      if (fits(run) || signal.aborted) return run;
      return new Promise((resolve) => {
        const known = listeners.get(id) ?? new Set();
        listeners.set(id, known);
        let latest = run;
        const end = () => {
          known.delete(listener);
          if (known.size === 0) listeners.delete(id);
          signal.removeEventListener("abort", end);
          resolve(latest);
        };
        const listener = (changed: RunRecord) => {
          latest = changed;
          if (fits(changed)) end();
        };
        known.add(listener);
        signal.addEventListener("abort", end, { once: true });
      });
    },
    async remove({ request_id: id }) {
      // First, so that nobody who is just reading the record brings it back.
      hide(id);
      try {
        await removeRecords(id);
      } catch (error) {
        // It is there still, and may be removed once more.
        gone.delete(id);
        throw error;
      }
    },
    async retract({ request_id: id }) {
      hide(id);
      await removeRecords(id);
      return true;
    },
    page: index.page,
    unfinished: index.unfinished,
    days: index.days,
    idsOfDay: index.idsOfDay,
    dropDay: index.dropDay,
  };
}

/** Somebody else has taken a run in hand, or changed it, since it was read. */
export class RunTaken extends RunnerError {
  constructor() {
    super("JOB_STATE_CONFLICT", "The job has moved on in this very moment. Look at it again.");
  }
}

/** Whether a run was made is not known: the storage was away. Whoever sends it again under its key gets that run, or makes it. */
export class PerhapsMade extends RunnerError {
  constructor(cause: unknown) {
    const message =
      "The storage did not say whether it has the job. Send the same request again in a moment.";
    super("STORAGE_FAILED", message, { cause, retryAfterSeconds: 5 });
  }
}

/** For a job that may be gone: null then. One that cannot be read for the moment is there, and its error is thrown. */
export function nullIfGone(error: unknown): null {
  if (error instanceof RunnerError && error.code === "JOB_NOT_FOUND") return null;
  throw error;
}

/** Whether a run is at another step than this record says, or gone. False while the storage does not say. */
export async function hasMovedOn(store: Pick<RunStore, "get">, run: RunRecord): Promise<boolean> {
  try {
    const now = await store.get(run.request_id).catch(nullIfGone);
    return now === null || now.revision !== run.revision;
  } catch {
    return false;
  }
}
