import { appendFile, mkdir, readFile, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { LRUCache } from "lru-cache";
import type { LiveLog } from "../queue/index.ts";

/** Bytes that are taken over in one go. */
const pieceBytes = 1024 * 1024;
const rememberedLogs = 10_000;

/** How far a file goes, as long as it is this one. */
interface End {
  ino: number;
  size: number;
  seq: number;
}

/**
 * Adds to a run's log in its folder what another server has told of the run since. The caller sees to it that this happens
 * once at a time for each run.
 * @returns a function that takes the run's id, the path of its log, and whether the run has been taken in hand here meanwhile
 */
export function createLogTails(live: Pick<LiveLog, "after">) {
  const ends = new LRUCache<string, End>({ max: rememberedLogs });

  async function endOf(id: string, path: string): Promise<End> {
    const info = await stat(path).catch(() => null);
    if (info === null) return { ino: 0, size: 0, seq: 0 };
    const known = ends.get(id);
    if (known?.ino === info.ino && known.size === info.size) return known;
    const text = await readFile(path, "utf8");
    return { ino: info.ino, size: info.size, seq: text.split("\n").length - 1 };
  }

  return async (id: string, path: string, isHeld: () => boolean): Promise<void> => {
    for (;;) {
      const { seq } = await endOf(id, path);
      const told = await live.after(id, seq, pieceBytes);
      // Where lines are missing, as Redis was away for long, the next copy has them and what comes behind.
      const hole = told.findIndex((line, at) => line.seq !== seq + 1 + at);
      const lines = hole === -1 ? told : told.slice(0, hole);
      if (lines.length === 0 || isHeld()) return;
      await mkdir(dirname(path), { recursive: true });
      await appendFile(path, lines.map((line) => `${line.text}\n`).join(""));
      const info = await stat(path);
      ends.set(id, { ino: info.ino, size: info.size, seq: seq + lines.length });
    }
  };
}
