import { createStorage } from "unstorage";
import { RunnerError } from "../errors.ts";
import { parseJson } from "../json.ts";
import { Unreachable } from "./medium-failure.ts";
import type { Page, RecordDriver } from "./record-driver.ts";

/**
 * Small JSON records by key, on any backend. Keys are segments joined with ":"; a key is never both a record and the
 * prefix of others.
 */
export interface RecordStore {
  read(key: string): Promise<unknown>;
  /** Whether anything stands there, be it readable or not. */
  holds(key: string): Promise<boolean>;
  /** Replaces the record whole or not at all; durable when it resolves (as far as the backend is), unless told not to. */
  write(key: string, value: object, options?: WriteOptions): Promise<void>;
  /** Stores a record where there is none. @returns false when there is one */
  create(key: string, value: object): Promise<boolean>;
  /**
   * Makes all of the changes, durably, or none. Whoever sees the first of them sees the others, too.
   * A key that once was the first of several is never given to `write` or `remove`: S3 keeps the rest of a change with it.
   * @returns false when a record was not as it was expected to be; on S3 only the first one's state is held on to until
   *   the others are written
   */
  change(changes: readonly Change[]): Promise<boolean>;
  remove(key: string, options?: WriteOptions): Promise<void>;
  /** Names one level below `prefix`, ascending unless told otherwise: records and the folders of longer keys. */
  children(prefix: string, page?: Page): Promise<string[]>;
  /** Removes every record below `prefix`. */
  clear(prefix: string): Promise<void>;
  /** Bytes under a key, for what is no record. They have keys of their own. */
  readBytes(key: string): Promise<Uint8Array | null>;
  writeBytes(key: string, bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

export interface WriteOptions {
  /** False: a power cut may undo it, a `kill -9` may not. For what can be made again; it costs no fsync. */
  durable?: boolean;
}

export interface Change {
  key: string;
  /** What must stand there, as it was written; null: nothing. Absent: whatever it is. */
  from?: object | null;
  /** What is to stand there; null: nothing. */
  to: object | null;
}

/** ASCII that no backend gives a meaning of its own, and that sorts alike on all of them. */
const segment = /^(?!\.)[\w.@+=,;~^()-]{1,200}$/;

/** Wraps a backend. Its failures come out as STORAGE_FAILED with the system's reason. */
export function createRecordStore(driver: RecordDriver): RecordStore {
  const storage = createStorage({ driver });
  const failing = async <T>(verb: string, action: () => Promise<T>): Promise<T> => {
    try {
      return await action();
    } catch (error) {
      if (driver.isPassing?.(error) !== true) {
        const message = `The storage could not ${verb} a record (${reasonOf(error)}). Nothing was changed.`;
        throw new RunnerError("STORAGE_FAILED", message, { cause: error });
      }
      const message = `The storage did not answer when it was to ${verb} a record (${reasonOf(error)}). Try again in a moment; look first whether it was done.`;
      throw new RunnerError("STORAGE_FAILED", message, {
        cause: new Unreachable(error),
        retryAfterSeconds: 5,
      });
    }
  };
  return {
    // As it was written: unstorage's own reading leaves keys out that could change prototypes, and a change compares by value.
    read: (key) => failing("read", async () => parsed(await driver.getItem(key))),
    holds: (key) => failing("read", async () => driver.hasItem(key, {})),
    write: (key, value, options) =>
      failing("write", () => storage.setItem(checked(key), value, { ...options })),
    create: (key, value) =>
      failing("write", () => driver.change([{ key: checked(key), from: null, to: JSON.stringify(value) }])),
    change: (changes) => failing("write", () => driver.change(changes.map(inText))),
    remove: (key, options) => failing("remove", () => storage.removeItem(checked(key), { ...options })),
    children: (prefix, page = {}) => failing("list", () => driver.children(prefix, page)),
    clear: (prefix) => failing("clear", () => driver.clearPrefix(checked(prefix))),
    readBytes: (key) => failing("read", () => driver.getItemRaw(key)),
    writeBytes: (key, bytes) => failing("write", () => driver.setItemRaw(checked(key), bytes)),
    close: () => storage.dispose(),
  };
}

function parsed(stored: unknown): unknown {
  return typeof stored === "string" ? parseJson(stored) : (stored ?? null);
}

function inText({ key, from, to }: Change) {
  const text = (value: object | null) => (value === null ? null : JSON.stringify(value));
  return { key: checked(key), to: text(to), ...(from === undefined ? {} : { from: text(from) }) };
}

function checked(key: string): string {
  if (key.split(":").every((part) => segment.test(part))) return key;
  throw new Error(`storage key ${JSON.stringify(key)} has a part that not every backend can hold`);
}

function reasonOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unknown reason";
}
