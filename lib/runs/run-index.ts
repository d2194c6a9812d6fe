import { RunnerError } from "../errors.ts";
import type { RecordStore } from "../storage/index.ts";
import { bucketOf, isRunId } from "./paths.ts";
import type { RunRecord } from "./record.ts";
import type { RunFilter, RunStore } from "./run-store.ts";
import { isTerminal } from "./transitions.ts";

/**
 * Where the records of runs lie. A run that has not ended lies at `active:<id>`, one that has ended at
 * `runs:<day>:<slot>:<id>`, for good: so what is unfinished is found in one place.
 */
export interface RunIndex
  extends Pick<RunStore, "get" | "page" | "unfinished" | "days" | "idsOfDay" | "dropDay"> {
  activeKey(id: string): string;
  endedKey(id: string): string;
  /** Where this record belongs. */
  keyOf(run: RunRecord): string;
}

/** Records one page looks at before it gives back what it has: a filter that matches nothing must not read them all. */
const scanBound = 2_000;
const readAtOnce = 16;

/** @param read the record of a run, or null */
export function createRunIndex(
  records: RecordStore,
  read: (id: string) => Promise<RunRecord | null>,
): RunIndex {
  const activeKey = (id: string) => `active:${id}`;
  const activeIds = async () => (await records.children("active")).filter(isRunId);

  async function* endedNewestFirst(before: string | undefined): AsyncGenerator<string> {
    const from = before === undefined ? null : bucketOf(before);
    for (const day of await records.children("runs", { reverse: true })) {
      if (from !== null && day > from.day) continue;
      for (const slot of await records.children(`runs:${day}`, { reverse: true })) {
        if (from !== null && day === from.day && slot > from.slot) continue;
        yield* await records.children(`runs:${day}:${slot}`, { reverse: true });
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
    activeKey,
    endedKey,
    async get(id) {
      const run = isRunId(id) ? await read(id) : null;
      if (run) return run;
      throw new RunnerError(
        "JOB_NOT_FOUND",
        "There is no such job. It may have been deleted or have passed its retention.",
      );
    },
    keyOf: (run) => (isTerminal(run.status) ? endedKey(run.request_id) : activeKey(run.request_id)),
    async page({ before, limit, filter = {} }) {
      const runs: RunRecord[] = [];
      let scanned = 0;
      let waiting: string[] = [];
      // Side by side: a storage on the network takes its time for each.
      const take = async (): Promise<void> => {
        const taken = await Promise.all(waiting.map(read));
        for (const run of taken) if (run && matches(run, filter)) runs.push(run);
        waiting = [];
      };
      let last: string | null = null;
      for await (const id of newestFirst(before)) {
        if (waiting.length === Math.min(readAtOnce, limit - runs.length)) await take();
        if (runs.length === limit || scanned === scanBound) {
          await take();
          return { runs, next: last };
        }
        scanned += 1;
        last = id;
        waiting.push(id);
      }
      await take();
      return { runs, next: null };
    },
    unfinished: activeIds,
    async days() {
      const active = (await activeIds()).map((id) => bucketOf(id).day);
      return [...new Set([...(await records.children("runs")), ...active])].sort();
    },
    async idsOfDay(day) {
      // First: one that ends meanwhile is in both lists, and not in none.
      const active = (await activeIds()).filter((id) => bucketOf(id).day === day);
      const slots = await records.children(`runs:${day}`);
      const ended = await Promise.all(slots.map((slot) => records.children(`runs:${day}:${slot}`)));
      return [...new Set([...ended.flat().filter(isRunId), ...active])];
    },
    dropDay: (day) => records.clear(`runs:${day}`),
  };
}

function endedKey(id: string): string {
  const { day, slot } = bucketOf(id);
  return `runs:${day}:${slot}:${id}`;
}

/** Whether a key holds what a run was before it ended: its end is stored, but this was not taken away any more. */
export async function isOutlived(records: RecordStore, key: string): Promise<boolean> {
  const [, id] = /^active:([^:]+)$/.exec(key) ?? [];
  return id !== undefined && isRunId(id) && (await records.read(endedKey(id))) !== null;
}

function matches(run: RunRecord, filter: RunFilter): boolean {
  return (
    (filter.status === undefined || run.status === filter.status) &&
    (filter.skill_id === undefined || run.skill_id === filter.skill_id) &&
    (filter.engine === undefined || run.engine === filter.engine)
  );
}
