import { join } from "node:path";
import { copyMark } from "./copy-records.ts";
import { fsDriver } from "./drivers/fs.ts";
import { memoryDriver } from "./drivers/memory.ts";
import type { RecordDriver } from "./record-driver.ts";
import { createRecordStore, type RecordStore } from "./record-store.ts";
import type { StoragePlace } from "./storage-url.ts";

/** A storage that answers. */
export interface OpenStorage {
  records: RecordStore;
  /** Several servers may use it at a time. */
  isShared: boolean;
  /** What an operator should know of it, in sentences. */
  advice: string[];
}

const inPart =
  "it holds a part of what was to be copied into it. Let `skill-runner storage copy` end, or call it again with --overwrite when it was cut off.";

/**
 * Opens a storage and sees that it answers, and is whole.
 * @param dataDir absolute: where `fs:` and `sqlite:` keep their files unless told otherwise
 * @param options.evenInPart also one that a copy into it was cut off in
 * @throws Error with a reason an operator understands, without the URL's password
 */
export async function openStorage(
  place: StoragePlace,
  dataDir: string,
  { evenInPart = false } = {},
): Promise<OpenStorage> {
  let driver: RecordDriver | undefined;
  try {
    driver = await driverFor(place, dataDir);
    const advice = (await driver.open?.()) ?? [];
    const records = createRecordStore(driver);
    if (!evenInPart && (await records.read(copyMark)) !== null) throw new Error(inPart);
    return { records, isShared: isShared(place), advice };
  } catch (error) {
    await driver?.dispose?.();
    const reason = error instanceof Error ? error.message || error.name : String(error);
    throw new Error(`The storage (${place.kind}) cannot be used: ${reason}`, {
      cause: error,
    });
  }
}

function isShared({ kind }: StoragePlace): boolean {
  return kind === "postgres" || kind === "redis" || kind === "s3";
}

// Loaded when asked for: a start without them reads none of their clients.
async function driverFor(place: StoragePlace, dataDir: string): Promise<RecordDriver> {
  switch (place.kind) {
    case "memory":
      return memoryDriver();
    case "fs":
      return fsDriver({ base: place.folder ?? join(dataDir, "state") });
    case "sqlite":
      return (await import("./drivers/sqlite.ts")).sqliteDriver({
        path: place.path ?? join(dataDir, "records.sqlite"),
      });
    case "postgres":
      return (await import("./drivers/postgres.ts")).postgresDriver(place);
    case "redis":
      return (await import("./drivers/redis.ts")).redisDriver(place);
    case "s3":
      return (await import("./drivers/s3.ts")).s3Driver(place);
  }
}
