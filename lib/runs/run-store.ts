import { LRUCache } from "lru-cache";
import { RunnerError } from "../errors.ts";
import type { RecordStore } from "../storage/index.ts";
import { bucketOf, isRunId } from "./paths.ts";
import { type RunRecord, runRecord } from "./record.ts";
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

/** The records of all runs. One process writes; a record in memory is the record on disk. */
export interface RunStore {
  /** Makes a run exist. Durable when it resolves. */
  create(run: RunRecord): Promise<void>;
  /** @throws RunnerError JOB_NOT_FOUND */
  get(id: string): Promise<RunRecord>;
  /** Replaces a run's record. Readers in this process see it once `alongside` has resolved too. */
  save(run: RunRecord, alongside?: Promise<void>): Promise<void>;
  remove(id: string): Promise<void>;
  /** Whether there is nothing at all under this id; a record that cannot be read is not absent. */
  isAbsent(id: string): Promise<boolean>;
  /** Newest first. */
  page(options: { before?: string | undefined; limit: number; filter?: RunFilter }): Promise<RunPage>;
  /** Ids of the runs that have not ended, oldest first. */
  unfinished(): Promise<string[]>;
  /** Days (`2026-11-24`) that have runs, oldest first. */
  days(): Promise<string[]>;
  idsOfDay(day: string): Promise<string[]>;
  /** Drops what is left of a day whose runs are all removed. */
  dropDay(day: string): Promise<void>;
}

const recordsInMemory = 2_000;
/** Records one page looks at before it gives back what it has: a filter that matches nothing must not read them all. */
const scanBound = 2_000;

export function createRunStore(records: RecordStore): RunStore {
  const recent = new LRUCache<string, RunRecord>({ max: recordsInMemory });
  /** Removed a short while ago. */
  const gone = new LRUCache<string, true>({ max: recordsInMemory });
  /** Runs that have not ended: what memory knows of them may be newer than the disk, so it is never dropped. */
  const living = new Map<string, RunRecord>();
  const remember = (run: RunRecord) => {
    living.delete(run.request_id);
    if (isTerminal(run.status)) recent.set(run.request_id, run);
    else living.set(run.request_id, run);
  };
  const keyOf = (id: string) => {
    const { day, slot } = bucketOf(id);
    return `runs:${day}:${slot}:${id}`;
  };
  const read = async (id: string): Promise<RunRecord | null> => {
    const known = living.get(id) ?? recent.get(id);
    if (known) return known;
    const parsed = runRecord.safeParse(await records.read(keyOf(id)));
    if (!parsed.success || gone.has(id)) return null;
    // Another caller may have changed it while it was being read.
    const meanwhile = living.get(id) ?? recent.get(id);
    if (meanwhile) return meanwhile;
    recent.set(id, parsed.data);
    return parsed.data;
  };

  async function* newestFirst(before: string | undefined): AsyncGenerator<string> {
    const from = before === undefined ? null : bucketOf(before);
    for (const day of (await records.children("runs")).reverse()) {
      if (from !== null && day > from.day) continue;
      for (const slot of (await records.children(`runs:${day}`)).reverse()) {
        if (from !== null && day === from.day && slot > from.slot) continue;
        for (const id of (await records.children(`runs:${day}:${slot}`)).reverse()) {
          if (before === undefined || id < before) yield id;
        }
      }
    }
  }

  /** What was accepted last, in the two newest buckets: ten to twenty minutes' worth. */
  async function newestIds(): Promise<string[]> {
    const ids: string[] = [];
    let slots = 2;
    for (const day of (await records.children("runs")).reverse()) {
      for (const slot of (await records.children(`runs:${day}`)).reverse()) {
        if (slots-- === 0) return ids;
        ids.push(...(await records.children(`runs:${day}:${slot}`)).filter(isRunId));
      }
    }
    return ids;
  }

  return {
    async create(run) {
      // Side by side, as one flush of the disk serves both. A crash in between leaves one of them: a marker without a
      // record is swept at the next start, and a record without its marker lies in the newest buckets (`unfinished`).
      // A run answered from the cache has ended already, and no later save would take its marker away.
      const marked = isTerminal(run.status)
        ? Promise.resolve()
        : records.write(`active:${run.request_id}`, { since: run.created_at });
      await settled([records.write(keyOf(run.request_id), run), marked]);
      remember(run);
    },
    async get(id) {
      const run = isRunId(id) ? await read(id) : null;
      if (run) return run;
      throw new RunnerError(
        "JOB_NOT_FOUND",
        "There is no such job. It may have been deleted or have passed its retention.",
      );
    },
    async save(run, alongside = Promise.resolve()) {
      // The step to running is in the event log, which recovery reads: it need not cost a trip to the disk here as well.
      if (run.status !== "running") await settled([records.write(keyOf(run.request_id), run), alongside]);
      remember(run);
      if (isTerminal(run.status)) await records.remove(`active:${run.request_id}`, { durable: false });
    },
    async remove(id) {
      // First, so that nobody who is just reading the record brings it back.
      gone.set(id, true);
      recent.delete(id);
      living.delete(id);
      await records.remove(keyOf(id));
      await records.remove(`active:${id}`);
    },
    isAbsent: async (id) => (await records.read(keyOf(id))) === null,
    async page({ before, limit, filter = {} }) {
      const runs: RunRecord[] = [];
      let scanned = 0;
      let last: string | null = null;
      for await (const id of newestFirst(before)) {
        if (runs.length === limit || scanned === scanBound) return { runs, next: last };
        scanned += 1;
        last = id;
        const run = await read(id);
        if (run && matches(run, filter)) runs.push(run);
      }
      return { runs, next: null };
    },
    async unfinished() {
      const ids = new Set((await records.children("active")).filter(isRunId));
      for (const id of await newestIds()) {
        const run = await read(id);
        if (run && !isTerminal(run.status)) ids.add(id);
      }
      return [...ids].sort();
    },
    days: () => records.children("runs"),
    async idsOfDay(day) {
      const slots = await records.children(`runs:${day}`);
      return (await Promise.all(slots.map((slot) => records.children(`runs:${day}:${slot}`))))
        .flat()
        .filter(isRunId);
    },
    dropDay: (day) => records.clear(`runs:${day}`),
  };
}

/** Waits for all of them, also when one fails, so that nothing is still being written when the failure is told. */
async function settled(work: Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(work)) if (result.status === "rejected") throw result.reason;
}

function matches(run: RunRecord, filter: RunFilter): boolean {
  return (
    (filter.status === undefined || run.status === filter.status) &&
    (filter.skill_id === undefined || run.skill_id === filter.skill_id) &&
    (filter.engine === undefined || run.engine === filter.engine)
  );
}
