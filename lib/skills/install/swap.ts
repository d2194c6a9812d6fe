import { renameSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { RunnerError } from "../../errors.ts";
import { asStorageFailure } from "../storage-failure.ts";
import type { Sync } from "./sync-tree.ts";

export interface Swap {
  /** Absolute path of the skills folder. */
  root: string;
  id: string;
  /** Absolute path of the new folder, on the same file system. */
  staged: string;
  /** Where the folder in place goes, relative to `root`; null when there is none. */
  setAside: string | null;
}

/** Neither is the skill in place nor could the one before be put back: it has to be tried again. */
export class HalfSwapped extends RunnerError {}

/**
 * Moves the folder in place aside and the new one in; durable when it resolves. On failure all is as it was before.
 * @throws RunnerError STORAGE_FAILED; HalfSwapped when the way back failed too
 */
export async function swapIn(swap: Swap, sync: Sync): Promise<void> {
  const { root, id, staged, setAside } = swap;
  if (setAside === null) return moveAll(swap, [[staged, join(root, id)]], sync);
  const aside = join(root, setAside);
  await mkdir(dirname(aside), { recursive: true }).catch((error: unknown) => {
    throw asStorageFailure(error, failure(id));
  });
  const moves: Move[] = [
    [join(root, id), aside],
    [staged, join(root, id)],
  ];
  return moveAll(swap, moves, sync);
}

/**
 * Ends a swap that stopped after its first half: the new folder is moved in or, failing that, the old one back.
 * @throws RunnerError STORAGE_FAILED when the old one is in place again; HalfSwapped when none is
 */
export async function finishSwap(swap: Swap, sync: Sync): Promise<void> {
  const { root, id, staged, setAside } = swap;
  try {
    await moveAll(swap, [[staged, join(root, id)]], sync);
  } catch (error) {
    if (setAside !== null) await putBack(swap, setAside, sync);
    throw error;
  }
}

/** Moves the folder that was set aside in again. @throws HalfSwapped */
export async function putBack(swap: Swap, setAside: string, sync: Sync): Promise<void> {
  await moveAll(swap, [[join(swap.root, setAside), join(swap.root, swap.id)]], sync).catch(
    (error: unknown) => {
      throw halfSwapped(swap.id, error);
    },
  );
}

type Move = [from: string, to: string];

/**
 * Synchronous, one right after the other: between two moves the skill is nowhere, for some microseconds. RENAME_EXCHANGE
 * of renameat2(2) would leave no such moment, but Node has no call for it.
 */
async function moveAll(swap: Swap, moves: readonly Move[], sync: Sync): Promise<void> {
  const done: Move[] = [];
  try {
    for (const [from, to] of moves) {
      renameSync(from, to);
      done.unshift([from, to]);
    }
    await sync(namesChanged(swap));
  } catch (error) {
    try {
      for (const [from, to] of done) renameSync(to, from);
    } catch (second) {
      throw halfSwapped(swap.id, new AggregateError([error, second]));
    }
    throw asStorageFailure(error, failure(swap.id));
  }
}

/** Paths whose folders must be made durable: their names have come or gone. */
function namesChanged({ root, id, staged, setAside }: Swap): string[] {
  const aside = setAside === null ? [] : [join(root, setAside), dirname(join(root, setAside))];
  return [join(root, id), staged, ...aside];
}

function halfSwapped(id: string, cause: unknown): HalfSwapped {
  const message = `${failure(id)}, and what was there before could not be put back. The next start of the server tries again.`;
  return new HalfSwapped("STORAGE_FAILED", message, { cause });
}

const failure = (id: string) => `The skill "${id}" could not be put in place`;
