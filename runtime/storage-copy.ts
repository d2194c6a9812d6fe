import { randomUUID } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import {
  createRunFolders,
  createRunStore,
  foldersPrefix,
  holdsBytes,
  isOutlived,
  type Log,
  markFile,
  nullIfGone,
} from "../lib/runs/index.ts";
import {
  clearRecords,
  copyMark,
  copyRecords,
  mediumFailure,
  type OpenStorage,
  openStorage,
  type RecordStore,
  type StoragePlace,
} from "../lib/storage/index.ts";
import { lockPlaces } from "./place-locks.ts";
import { recordNames } from "./record-names.ts";

export interface StorageCopy {
  from: StoragePlace;
  to: StoragePlace;
  /** Where the folders of jobs lie that are on no shared storage, and `fs:` and `sqlite:` unless they say otherwise. */
  dataDir: string;
  /** Its servers', which may move what CLIs keep. */
  environment: Readonly<Record<string, string | undefined>>;
  /** Write into a storage that holds records: they are removed first. */
  overwrite: boolean;
  log: Pick<Log, "warn">;
}

export interface Copied {
  records: number;
  /** Jobs whose files went along, or came. */
  folders: number;
  /** What could not be read, and stayed behind. The log was told of each. */
  leftOut: number;
}

/**
 * Copies all that a server keeps from one storage into another, files of jobs included. No server may be at work on either:
 * one on this machine's files is noticed, one elsewhere is not. A copy that is cut off leaves a mark, and no server takes that
 * storage for a whole one.
 * @throws Error when a server is at work on these files, a storage does not answer, the second one is not empty, or
 *   it is the first one
 */
export async function copyStorage(copy: StorageCopy): Promise<Copied> {
  const { from, to, dataDir, overwrite, log } = copy;
  await mkdir(dataDir, { recursive: true });
  const unlock = await lockPlaces(dataDir, [from, to], () => undefined);
  const open: OpenStorage[] = [];
  try {
    const source = await openStorage(from, dataDir);
    open.push(source);
    const target = await openStorage(to, dataDir, { evenInPart: true });
    open.push(target);
    const present = await target.records.children("");
    if (!overwrite && recordNames.some((name) => present.includes(name)))
      throw new Error("There are records in the second storage. Give it an empty one, or --overwrite.");
    await mark(source.records, target.records);
    await clearRecords(target.records, recordNames);
    const copied: Copied = { records: 0, folders: 0, leftOut: 0 };
    // Copies of folders go along between two that are shared; elsewhere the folders themselves are there.
    const foldersGoAlong = source.isShared && target.isShared;
    await copyRecords(source.records, target.records, {
      names: foldersGoAlong ? recordNames : recordNames.filter((name) => name !== foldersPrefix),
      holdsBytes,
      skips: (key) => isOutlived(source.records, key),
      onCopied() {
        copied.records += 1;
      },
      onUnreadable(key) {
        copied.leftOut += 1;
        log.warn({ key }, "left out: it holds nothing that can be read");
      },
    });
    await moveFolders(source, target, copy, copied);
    await target.records.remove(copyMark);
    return copied;
  } finally {
    for (const storage of open) await storage.records.close();
    await unlock();
  }
}

/** Says in the target that it is being copied into. @throws Error when the source has the same mark then: it is the target */
async function mark(source: RecordStore, target: RecordStore): Promise<void> {
  const id = randomUUID();
  await target.write(copyMark, { id });
  const seen = await source.read(copyMark);
  if (!(seen instanceof Object && "id" in seen && seen.id === id)) return;
  await target.remove(copyMark);
  throw new Error("Both are the same storage.");
}

/** Where only one of the two is shared, the files of jobs go into it, or come out of it. */
async function moveFolders(
  source: OpenStorage,
  target: OpenStorage,
  { dataDir, environment, log }: StorageCopy,
  copied: Copied,
): Promise<void> {
  if (source.isShared === target.isShared) return;
  const { records } = source.isShared ? source : target;
  const folders = createRunFolders({ dataDir, environment, records, isShared: true, log });
  const runs = createRunStore(source.records);
  const copies = createRunStore(target.records);
  const leaveOut = (id: string, message: string, fields: object = {}) => {
    copied.leftOut += 1;
    log.warn({ id, ...fields }, message);
  };
  const move = async (id: string): Promise<void> => {
    const run = await runs.get(id).catch(nullIfGone);
    if (run === null) return leaveOut(id, "the files of a job were left out: its record cannot be read");
    try {
      if (source.isShared) {
        const { root } = await folders.here(run);
        // From here on its files change without the storage: a later copy out of it must not find them up to date.
        await rm(join(root, markFile), { force: true });
      } else await copies.write({ ...run, folder: await folders.keep(run) });
      copied.folders += 1;
    } catch (error) {
      // A full disk, or a storage that is away: that comes right, and then all is done again.
      if (mediumFailure(error) !== null) throw error;
      leaveOut(id, "the files of a job were left out", {
        reason: error instanceof Error ? error.message : String(error),
      });
    }
  };
  for (const day of await runs.days()) for (const id of await runs.idsOfDay(day)) await move(id);
}
