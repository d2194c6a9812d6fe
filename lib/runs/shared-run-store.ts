import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import type { RunChannel } from "../queue/index.ts";
import type { RecordStore } from "../storage/index.ts";
import { type RunRecord, runRecord } from "./record.ts";
import { createRunIndex } from "./run-index.ts";
import { type RunStore, RunTaken } from "./run-store.ts";
import { isTerminal } from "./transitions.ts";

/** Milliseconds after which a record that somebody waits for is looked at, whatever was told of it. */
const lookEveryMs = 1_000;

/** By whom a record was stored last, and how often it was. */
const ground = z.object({ edition: z.int().default(0), holder: z.string().nullable().default(null) });

/**
 * For several servers on one storage. Nothing is remembered: a record is what the storage says. A record is replaced only by
 * who has seen the one before it, or stored it himself: a server that has lost a run, and does not know it, changes nothing.
 */
export function createSharedRunStore(records: RecordStore, channel: RunChannel): RunStore {
  // A run goes from among the active to the ended, never back: looked for in this order, it is not missed.
  const read = async (id: string): Promise<RunRecord | null> => {
    const stored = (await records.read(activeKey(id))) ?? (await records.read(endedKey(id)));
    return runRecord.safeParse(stored).data ?? null;
  };
  const index = createRunIndex(records, read);
  const { activeKey, endedKey, keyOf, get } = index;

  async function put(run: RunRecord): Promise<void> {
    const { request_id: id, holder } = run;
    for (let tries = 0; tries < 5; tries++) {
      const from = asObject(await records.read(activeKey(id)));
      const before = ground.safeParse(from).data;
      if (from === null || before === undefined) {
        if (await endAgain(run)) return;
        continue;
      }
      if (before.edition !== run.edition && (holder === null || before.holder !== holder))
        throw new RunTaken();
      const to = { ...run, edition: before.edition + 1 };
      const changes = isTerminal(run.status)
        ? [
            { key: activeKey(id), from, to: null },
            { key: endedKey(id), to },
          ]
        : [{ key: activeKey(id), from, to }];
      if (await records.change(changes)) return;
      await sleep(5 * tries);
    }
    throw new RunTaken();
  }

  /** An end that was stored though it did not seem so: what is told of it from here on is what is to stand there. */
  async function endAgain(run: RunRecord): Promise<boolean> {
    const key = endedKey(run.request_id);
    const from = asObject(await records.read(key));
    const ended = ground.safeParse(from).data;
    const isOurs = run.holder !== null && ended?.holder === run.holder;
    if (from === null || ended === undefined || !isTerminal(run.status) || !isOurs) throw new RunTaken();
    return records.change([{ key, from, to: { ...run, edition: ended.edition + 1 } }]);
  }

  return {
    isShared: true,
    async create(run) {
      if (isTerminal(run.status)) return records.write(keyOf(run), run);
      if (!(await records.create(activeKey(run.request_id), run))) throw new RunTaken();
    },
    inMemory: () => undefined,
    get,
    write: put,
    jot: put,
    async show(run) {
      channel.tell(run.request_id, "changed");
    },
    async until(id, fits, signal) {
      let told = false;
      let wake = () => {};
      const onNews = () => {
        told = true;
        wake();
      };
      const unlisten = channel.listen(id, onNews);
      signal.addEventListener("abort", onNews, { once: true });
      try {
        for (;;) {
          told = false;
          const run = await get(id);
          if (fits(run) || signal.aborted) return run;
          if (told) continue;
          // Long enough to be no burden; news can be lost with a connection.
          await new Promise<void>((resolve) => {
            const timer = setTimeout(resolve, lookEveryMs);
            wake = () => {
              clearTimeout(timer);
              resolve();
            };
          });
        }
      } finally {
        unlisten();
        signal.removeEventListener("abort", onNews);
      }
    },
    async remove({ request_id: id, edition }) {
      for (let tries = 0; tries < 5; tries++) {
        const [active, ended] = await Promise.all(
          [activeKey(id), endedKey(id)].map(async (key) => asObject(await records.read(key))),
        );
        const now = ground.safeParse(active ?? ended).data;
        if (now !== undefined && now.edition !== edition) throw new RunTaken();
        const gone = await records.change([
          { key: activeKey(id), from: active ?? null, to: null },
          { key: endedKey(id), from: ended ?? null, to: null },
        ]);
        if (gone) return;
      }
      throw new RunTaken();
    },
    async retract(run) {
      const key = activeKey(run.request_id);
      return (await records.change([{ key, from: run, to: null }])) || (await read(run.request_id)) === null;
    },
    page: index.page,
    unfinished: index.unfinished,
    days: index.days,
    idsOfDay: index.idsOfDay,
    async dropDay(day) {
      await index.dropDay(day);
      // What was kept of runs that never came to be, or ended another way.
      for (const prefix of ["stops", "secrets"]) await records.clear(`${prefix}:${day}`);
    },
  };
}

function asObject(value: unknown): object | null {
  return typeof value === "object" ? value : null;
}
