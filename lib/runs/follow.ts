import type { RunContext } from "./context.ts";
import type { WrittenLine } from "./event-log.ts";
import { createEventReader } from "./event-reader.ts";
import { hasMovedOn } from "./run-store.ts";
import { isTerminal } from "./transitions.ts";

/** Follows a run's log, from its past into what is still to come. */
export interface Follower {
  /**
   * The next lines behind what was taken before. Null: nothing came within `idleMs`. "end": nothing will come any more,
   * as the run has ended, was deleted, or the server stops.
   */
  next(idleMs: number): Promise<readonly WrittenLine[] | null | "end">;
  close(): void;
}

/** Bytes that are taken in one go. */
const pieceBytes = 64 * 1024;

/**
 * @param after number of the last event that the caller has; 0: none
 * @param signal ends the wait of a caller that has gone away
 * @throws RunnerError JOB_NOT_FOUND
 */
export async function follow(
  { store, feeds, folders }: Pick<RunContext, "store" | "feeds" | "folders">,
  id: string,
  after: number,
  signal: AbortSignal,
): Promise<Follower> {
  const { isShared } = store;
  const { events } = await folders.here(await store.get(id));
  const reader = createEventReader(events);
  // Before the file is looked at: what is written from now on is not missed.
  const feed = feeds.join(id, signal);
  let taken = after;
  let over = false;
  /** The last line that was told here: what comes next is to be of the same log. */
  let told: string | null = null;

  const take = (lines: readonly WrittenLine[]) => {
    const last = lines.at(-1);
    if (last === undefined) return lines;
    taken = last.seq;
    told = last.text;
    over = last.last;
    return lines;
  };

  /** What was just written here; null when only the file can say whether it goes on from what was told. */
  function fromFeed(): readonly WrittenLine[] | null {
    const fresh = feed.linesAfter(taken, pieceBytes);
    if (told === null || fresh === null || fresh.length === 0 || !isShared) return fresh;
    const [same] = feed.linesAfter(taken - 1, 1) ?? [];
    return same?.text === told ? fresh : null;
  }

  async function fromFile(): Promise<readonly WrittenLine[]> {
    for (;;) {
      const lines = await reader.next(pieceBytes);
      const wanted = lines.filter(({ seq }) => seq > taken);
      if (wanted.length > 0 || lines.length === 0) return wanted;
    }
  }

  return {
    async next(idleMs) {
      while (!over) {
        const { version } = feed;
        const fresh = fromFeed();
        const last = fresh?.at(-1);
        if (fresh !== null && last !== undefined) {
          reader.skipTo(last);
          return take(fresh);
        }
        if (fresh === null) {
          // Asked before the file is read: a run that has ended by now has told its end by now.
          const run = await store.get(id).catch(() => null);
          const ended = feed.over || isTerminal(run?.status ?? "failed");
          if (run !== null && isShared) {
            try {
              await folders.here(run);
            } catch (error) {
              // Its files have just made way for those of its next step: looked at anew.
              if (await hasMovedOn(store, run)) continue;
              throw error;
            }
            // Another server has told another story since: whoever asks again is told that one.
            if (!(await reader.reopen())) break;
          }
          const lines = await fromFile();
          if (lines.length > 0) return take(lines);
          if (ended) break;
        } else if (feed.over) break; // The caller's number lies behind the end.
        if (feed.dismissed || signal.aborted) break;
        if (!(await feed.more(version, idleMs))) return null;
      }
      return "end";
    },
    close() {
      feed.leave();
      reader.close().catch(() => undefined);
    },
  };
}
