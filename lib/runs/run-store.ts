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

/**
 * The records of all runs. One process writes; a record in memory is the record on disk.
 *
 * A run that has not ended lies at `active:<id>`, one that has ended at `runs:<day>:<slot>:<id>`, for good: so what is
 * unfinished is found in one place, and a run that is accepted costs one durable write.
 */
export interface RunStore {
  /** Makes a run exist. Durable when it resolves. */
  create(run: RunRecord): Promise<void>;
  /** The record, if it need not be read from the disk. */
  inMemory(id: string): RunRecord | undefined;
  /** @throws RunnerError JOB_NOT_FOUND */
  get(id: string): Promise<RunRecord>;
  /** Replaces a run's record. Readers in this process see it once `alongside` has resolved too. */
  save(run: RunRecord, alongside?: Promise<void>): Promise<void>;
  remove(id: string): Promise<void>;
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
/** Records one page looks at before it gives back what it has: a filter that matches nothing must not read them all. */
const scanBound = 2_000;

export function createRunStore(records: RecordStore): RunStore {
  const recent = new LRUCache<string, RunRecord>({ max: recordsInMemory });
  /** Removed a short while ago. */
  const gone = new LRUCache<string, true>({ max: recordsInMemory });
  /** Runs that have not ended: what memory knows of them may be newer than the disk, so it is never dropped. */
  const living = new Map<string, RunRecord>();
  const remember = (run: RunRecord): void => {
    living.delete(run.request_id);
    if (isTerminal(run.status)) recent.set(run.request_id, run);
    else living.set(run.request_id, run);
  };
  const endedKey = (id: string) => {
    const { day, slot } = bucketOf(id);
    return `runs:${day}:${slot}:${id}`;
  };
  const activeKey = (id: string) => `active:${id}`;
  const keyOf = (run: RunRecord) =>
    isTerminal(run.status) ? endedKey(run.request_id) : activeKey(run.request_id);
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
  const activeIds = async () => (await records.children("active")).filter(isRunId);

  async function* endedNewestFirst(before: string | undefined): AsyncGenerator<string> {
    const from = before === undefined ? null : bucketOf(before);
    for (const day of (await records.children("runs")).reverse()) {
      if (from !== null && day > from.day) continue;
      for (const slot of (await records.children(`runs:${day}`)).reverse()) {
        if (from !== null && day === from.day && slot > from.slot) continue;
        yield* (await records.children(`runs:${day}:${slot}`)).reverse();
      }
    }
  }

  async function* newestFirst(before: string | undefined): AsyncGenerator<string> {
    const active = await activeIds();
    let last = before;
    const isNext = (id: string) => last === undefined || id < last;
    const next = (id: string) => {
      last = id;
      return id;
    };
    for await (const id of endedNewestFirst(before)) {
      while ((active.at(-1) ?? "") > id) {
        const newer = active.pop();
        if (newer !== undefined && isNext(newer)) yield next(newer);
      }
      // A run that ended meanwhile is in both places.
      if (isNext(id)) yield next(id);
    }
    for (const id of active.reverse()) if (isNext(id)) yield next(id);
  }

  return {
    async create(run) {
      await records.write(keyOf(run), run);
      remember(run);
    },
    inMemory,
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
      if (run.status !== "running") await settled([records.write(keyOf(run), run), alongside]);
      remember(run);
      // If a power cut brings it back: the ended record is the one that is read, and the next start takes this away again.
      if (isTerminal(run.status)) await records.remove(activeKey(run.request_id), { durable: false });
    },
    async remove(id) {
      // First, so that nobody who is just reading the record brings it back.
      gone.set(id, true);
      recent.delete(id);
      living.delete(id);
      await settled([records.remove(endedKey(id)), records.remove(activeKey(id))]);
    },
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
    unfinished: activeIds,
    async days() {
      const active = (await activeIds()).map((id) => bucketOf(id).day);
      return [...new Set([...(await records.children("runs")), ...active])].sort();
    },
    async idsOfDay(day) {
      const slots = await records.children(`runs:${day}`);
      const ended = await Promise.all(slots.map((slot) => records.children(`runs:${day}:${slot}`)));
      const active = (await activeIds()).filter((id) => bucketOf(id).day === day);
      return [...new Set([...ended.flat().filter(isRunId), ...active])];
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
