import { randomUUID } from "node:crypto";
import { closeSync, fsync, mkdirSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { mkdir, readdir, readFile, rm, stat, unlink } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import pLimit from "p-limit";
import type { Driver } from "unstorage";

export interface AtomicFsOptions {
  /** Absolute folder that holds the records. Made when missing. */
  base: string;
}

/** What our own drivers can do beyond unstorage's `Driver`: list and clear one part of a key space. */
export interface PrefixDriver extends Driver {
  /** Names one level below `prefix` (a key or ""), unsorted: both items and the folders of longer keys. */
  children(prefix: string): Promise<string[]>;
  clearPrefix(prefix: string): Promise<void>;
}

/** Names that start so are writes in progress; a crash leaves them behind and no reader ever sees them. */
const temporaryPrefix = ".tmp-";

/**
 * unstorage driver whose writes survive `kill -9` and a power cut: write to a temporary file, fsync it, rename it into
 * place, fsync the folder (rename(2) is atomic but durable only with its directory). unstorage 1.17's own fs driver
 * truncates the record in place, so a crash tears it. Keys map to paths (`a:b` is `a/b`).
 */
export function atomicFsDriver({ base }: AtomicFsOptions): PrefixDriver {
  const root = resolve(base);
  // Names this driver's own writes in progress: those of others are what a crash left, as one process writes here.
  const writer = randomUUID();
  const pathOf = (key: string) => {
    const segments = key.split(":").filter((segment) => segment !== "");
    if (
      segments.some((segment) => segment.startsWith(".") || segment.includes("/") || segment.includes("\0"))
    ) {
      throw new Error(`storage key ${JSON.stringify(key)} has a segment that cannot be a file name`);
    }
    return join(root, ...segments);
  };
  const children = async (key: string) => {
    const names = (await readdir(pathOf(key)).catch(nullIfMissing)) ?? [];
    for (const name of names) {
      // Where it cannot be removed (a read-only disk) the records beside it can be read all the same.
      if (isLitter(name, writer)) await unlink(join(pathOf(key), name)).catch(() => undefined);
    }
    return names.filter((name) => !name.startsWith("."));
  };
  return {
    name: "atomic-fs",
    options: { base },
    flags: { maxDepth: true },
    children,
    hasItem: async (key) => (await stat(pathOf(key)).catch(nullIfMissing))?.isFile() ?? false,
    getItem: (key) => readFile(pathOf(key), "utf8").catch(nullIfMissing),
    getItemRaw: async (key) => readFile(pathOf(key)).catch(nullIfMissing),
    setItem: (key, value, { durable = true }) => replaceFile(pathOf(key), value, { durable, writer }),
    setItemRaw: (key, value: Uint8Array | string, { durable = true }) =>
      replaceFile(pathOf(key), value, { durable, writer }),
    async removeItem(key, { durable = true }) {
      const path = pathOf(key);
      await unlink(path).catch(nullIfMissing);
      if (durable) await syncPath(dirname(path));
    },
    async getMeta(key) {
      const info = await stat(pathOf(key)).catch(nullIfMissing);
      return info === null ? null : { mtime: info.mtime, atime: info.atime, size: info.size };
    },
    getKeys: (key, options) => walk(children, pathOf, key.replace(/:$/, ""), options?.maxDepth),
    clear: () => rm(root, { recursive: true, force: true }),
    clearPrefix: (prefix) => rm(pathOf(prefix), { recursive: true, force: true }),
  };
}

async function walk(
  children: (key: string) => Promise<string[]>,
  pathOf: (key: string) => string,
  base: string,
  maxDepth = Number.POSITIVE_INFINITY,
): Promise<string[]> {
  const keys: string[] = [];
  for (const name of await children(base)) {
    const key = base === "" ? name : `${base}:${name}`;
    const info = await stat(pathOf(key)).catch(nullIfMissing);
    if (info?.isFile()) keys.push(key);
    else if (info?.isDirectory() && key.split(":").length <= maxDepth) {
      keys.push(...(await walk(children, pathOf, key, maxDepth)));
    }
  }
  return keys;
}

/**
 * Replaces `path` whole or not at all. Throws the system's error (ENOSPC, EROFS, EMFILE ...).
 * @param options.durable false: a power cut may lose it (a `kill -9` does not); for what can be made again
 * @param options.writer goes into the temporary file's name
 */
export async function replaceFile(
  path: string,
  content: Uint8Array | string,
  { durable = true, writer = "" }: { durable?: boolean; writer?: string } = {},
): Promise<void> {
  const folder = dirname(path);
  const temporary = join(folder, `${temporaryPrefix}${writer}-${randomUUID()}`);
  if (!durable) return replaceAtOnce(folder, temporary, path, content);
  const file = await openInFolder(folder, temporary);
  try {
    writeFileSync(file, content);
    await sync(file);
    renameSync(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(nullIfMissing);
    throw error;
  } finally {
    closeSync(file);
  }
  await syncPath(folder);
}

// Synchronous: with no disk to wait for, a small file takes less time than four trips through the thread pool.
function replaceAtOnce(folder: string, temporary: string, path: string, content: Uint8Array | string): void {
  try {
    mkdirIfMissing(folder, () => writeFileSync(temporary, content, { flag: "wx", mode: 0o600 }));
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

function mkdirIfMissing(folder: string, write: () => void): void {
  try {
    write();
  } catch (error) {
    if (!isMissing(error)) throw error;
    mkdirSync(folder, { recursive: true });
    write();
  }
}

async function openInFolder(folder: string, temporary: string): Promise<number> {
  try {
    return openSync(temporary, "wx", 0o600);
  } catch (error) {
    if (!isMissing(error)) throw error;
    const firstMade = await mkdir(folder, { recursive: true });
    // A new folder is durable only when its parent is, up to the first one that was there before.
    if (firstMade !== undefined) {
      for (let made = folder; made.length >= firstMade.length; made = dirname(made)) {
        await syncPath(dirname(made));
      }
    }
    return openSync(temporary, "wx", 0o600);
  }
}
async function syncPath(path: string): Promise<void> {
  const file = openIfThere(path);
  if (file === null) return;
  try {
    await sync(file);
  } finally {
    closeSync(file);
  }
}

function openIfThere(path: string): number | null {
  try {
    return openSync(path, "r");
  } catch (error) {
    return nullIfMissing(error);
  }
}

// Only this waits for the disk. What is around it takes some microseconds, less than a trip through the thread pool.
const sync = promisify(fsync);

const filesAtOnce = 32;

/** Makes files durable that were written without (fsync(2)), and their names. One that is gone by now is passed over. */
export async function syncFiles(paths: readonly string[]): Promise<void> {
  const folders = [...new Set(paths.map((path) => dirname(path)))];
  // Side by side, as one flush of the disk serves many; not all at once, as each is an open file.
  const few = pLimit(filesAtOnce);
  await few.map([...paths, ...folders], syncPath);
}

function isLitter(name: string, writer: string): boolean {
  return name.startsWith(temporaryPrefix) && !name.startsWith(temporaryPrefix + writer);
}

function nullIfMissing(error: unknown): null {
  if (isMissing(error)) return null;
  throw error;
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");
}
