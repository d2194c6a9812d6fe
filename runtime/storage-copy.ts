import { mkdir } from "node:fs/promises";
import { createRunFolders, createRunStore, foldersPrefix, holdsBytes, type Log } from "../lib/runs/index.ts";
import { copyRecords, type OpenStorage, openStorage, type StoragePlace } from "../lib/storage/index.ts";
import { lockDataDir } from "./data-dir-lock.ts";

export interface StorageCopy {
  from: StoragePlace;
  to: StoragePlace;
  /** Where the folders of jobs lie that are on no shared storage, and `fs:` and `sqlite:` unless they say otherwise. */
  dataDir: string;
  /** Its servers', which may move what CLIs keep. */
  environment: Readonly<Record<string, string | undefined>>;
  /** Write into a storage that holds records: what has the same key is replaced. */
  overwrite: boolean;
  log: Pick<Log, "warn">;
}

export interface Copied {
  records: number;
  /** Jobs whose files went along, or came. */
  folders: number;
}

/**
 * Copies all that a server keeps from one storage into another, files of jobs included. No server may be at work on either:
 * one in the data directory is noticed, one elsewhere is not.
 * @throws Error when a server is at work in the data directory, a storage does not answer, or the second one is not empty
 */
export async function copyStorage(copy: StorageCopy): Promise<Copied> {
  const { from, to, dataDir, overwrite } = copy;
  await mkdir(dataDir, { recursive: true });
  const unlock = await lockDataDir(dataDir, () => undefined);
  const open: OpenStorage[] = [];
  try {
    const source = await openStorage(from, dataDir);
    open.push(source);
    const target = await openStorage(to, dataDir);
    open.push(target);
    const [some] = await target.records.children("", { limit: 1 });
    if (some !== undefined && !overwrite)
      throw new Error("There are records in the second storage. Give it an empty one, or --overwrite.");
    let records = 0;
    // Copies of folders go along between two that are shared; elsewhere the folders themselves are there.
    const foldersGoAlong = source.isShared && target.isShared;
    await copyRecords(source.records, target.records, {
      holdsBytes,
      skips: (key) => key === foldersPrefix && !foldersGoAlong,
      onCopied: () => {
        records += 1;
      },
    });
    return { records, folders: await moveFolders(source, target, copy) };
  } finally {
    for (const storage of open) await storage.records.close();
    await unlock();
  }
}

/** Where only one of the two is shared, the files of jobs go into it, or come out of it. */
async function moveFolders(
  source: OpenStorage,
  target: OpenStorage,
  { dataDir, environment, log }: StorageCopy,
): Promise<number> {
  if (source.isShared === target.isShared) return 0;
  const { records } = source.isShared ? source : target;
  const folders = createRunFolders({ dataDir, environment, records, isShared: true, log });
  const runs = createRunStore(source.records);
  const copies = createRunStore(target.records);
  let moved = 0;
  for (const day of await runs.days()) {
    for (const id of await runs.idsOfDay(day)) {
      const run = await runs.get(id);
      if (source.isShared) await folders.here(run);
      else await copies.write({ ...run, folder: await folders.keep(run) });
      moved += 1;
    }
  }
  return moved;
}
