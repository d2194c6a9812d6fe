import { createStorage, type Driver } from "unstorage";
import memoryDriver from "unstorage/drivers/memory";
import { RunnerError } from "../errors.ts";
import { atomicFsDriver, type PrefixDriver } from "./atomic-fs-driver.ts";

/**
 * Small JSON records by key, on any unstorage driver. Keys are segments joined with ":"; a key is never both a record
 * and the prefix of others.
 */
export interface RecordStore {
  read(key: string): Promise<unknown>;
  /** Replaces the record whole or not at all; durable when it resolves (as far as the driver is), unless told not to. */
  write(key: string, value: object, options?: WriteOptions): Promise<void>;
  remove(key: string, options?: WriteOptions): Promise<void>;
  /** Names one level below `prefix`, ascending. What unstorage lacks: the newest page of a bucketed key space. */
  children(prefix: string): Promise<string[]>;
  /** Removes every record below `prefix`. */
  clear(prefix: string): Promise<void>;
  close(): Promise<void>;
}

export interface WriteOptions {
  /** False: a power cut may undo it, a `kill -9` may not. For what can be made again; it costs no fsync. */
  durable?: boolean;
}

/**
 * Opens the store that a URL names: `fs:` (the default, `folder` below the data directory), `fs:/abs/path`, `memory:`.
 * @throws RunnerError OPTION_INVALID for a scheme that no driver serves.
 */
export function openRecordStore(url: string, defaultFolder: string): RecordStore {
  const [scheme, rest = ""] = splitOnce(url, ":");
  if (scheme === "fs") return createRecordStore(atomicFsDriver({ base: rest === "" ? defaultFolder : rest }));
  if (scheme === "memory") return createRecordStore(memoryDriver());
  throw new RunnerError(
    "OPTION_INVALID",
    `SKILL_RUNNER_STORAGE=${url}: use "fs:", "fs:/absolute/folder" or "memory:".`,
  );
}

/** Wraps a driver. Failures of the medium come out as STORAGE_FAILED with the system's reason. */
export function createRecordStore(driver: Driver): RecordStore {
  const storage = createStorage({ driver });
  return {
    read: (key) => failing("read", () => storage.getItem(key)),
    write: (key, value, options) => failing("write", () => storage.setItem(key, value, { ...options })),
    remove: (key, options) => failing("remove", () => storage.removeItem(key, { ...options })),
    children: (prefix) => failing("list", async () => (await childrenOf(driver, prefix)).sort()),
    clear: (prefix) => failing("clear", () => clearBelow(driver, prefix)),
    close: () => storage.dispose(),
  };
}

async function childrenOf(driver: Driver, prefix: string): Promise<string[]> {
  if (listsPrefixes(driver)) return driver.children(prefix);
  const base = prefix === "" ? "" : `${prefix}:`;
  const names = (await keysBelow(driver, base)).map((key) => splitOnce(key.slice(base.length), ":")[0]);
  return [...new Set(names)];
}

// unstorage's own clear(base) skips a mount at the root and the memory driver's clear() drops everything: neither fits.
async function clearBelow(driver: Driver, prefix: string): Promise<void> {
  if (listsPrefixes(driver)) return driver.clearPrefix(prefix);
  for (const key of await keysBelow(driver, `${prefix}:`)) await driver.removeItem?.(key, {});
}

async function keysBelow(driver: Driver, base: string): Promise<string[]> {
  return (await driver.getKeys(base, {})).filter((key) => key.startsWith(base));
}

function listsPrefixes(driver: Driver): driver is PrefixDriver {
  return "clearPrefix" in driver;
}

async function failing<T>(verb: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    const reason = error instanceof Error && "code" in error ? String(error.code) : "unknown reason";
    throw new RunnerError(
      "STORAGE_FAILED",
      `The storage could not ${verb} a record (${reason}). Nothing was changed.`,
      {
        cause: error,
      },
    );
  }
}

function splitOnce(text: string, separator: string): [string, string?] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + separator.length)];
}
