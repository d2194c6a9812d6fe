import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { asStorageFailure } from "../storage-failure.ts";
import type { Sync } from "./sync-tree.ts";

/** The zips of the installs that have not ended. */
export interface RequestFiles {
  pathOf(id: string): string;
  /** Takes a received zip over by renaming it; durable when it resolves. @throws RunnerError STORAGE_FAILED */
  take(id: string, zip: string): Promise<void>;
  remove(id: string): Promise<void>;
  /** Removes the zips of all others. */
  keepOnly(ids: ReadonlySet<string>): Promise<void>;
}

/** @param dir absolute path, made when missing; on the same file system as what is taken over */
export function createRequestFiles(dir: string, sync: Sync): RequestFiles {
  const pathOf = (id: string) => join(dir, `${id}.zip`);
  return {
    pathOf,
    async take(id, zip) {
      try {
        await mkdir(dir, { recursive: true });
        await rename(zip, pathOf(id));
        await sync([pathOf(id), dir]);
      } catch (error) {
        throw asStorageFailure(error, "The package could not be stored");
      }
    },
    remove: (id) => rm(pathOf(id), { force: true }),
    async keepOnly(ids) {
      const names = await readdir(dir).catch(() => []);
      for (const name of names) {
        if (!ids.has(name.replace(/\.zip$/, ""))) await rm(join(dir, name), { recursive: true, force: true });
      }
    },
  };
}
