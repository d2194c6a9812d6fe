import { randomUUID } from "node:crypto";
import { readdir, readFile, rm, stat, unlink } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { pageOf, type RecordDriver } from "../record-driver.ts";
import { nullIfMissing, replaceFile, syncPath, temporaryPrefix } from "../replace-file.ts";
import { createFsChanges } from "./fs-changes.ts";

export interface FsOptions {
  /** Absolute folder that holds the records. Made when missing. One process works in it at a time. */
  base: string;
}

/**
 * Driver whose writes survive `kill -9` and a power cut: write to a temporary file, fsync it, rename it into
 * place, fsync the folder (rename(2) is atomic but durable only with its directory). unstorage 1.17's own fs driver
 * truncates the record in place, so a crash tears it. Keys map to paths (`a:b` is `a/b`).
 */
export function fsDriver({ base }: FsOptions): RecordDriver {
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
  const namesIn = async (key: string) => {
    const names = (await readdir(pathOf(key)).catch(nullIfMissing)) ?? [];
    for (const name of names) {
      // Where it cannot be removed (a read-only disk) the records beside it can be read all the same.
      if (isLitter(name, writer)) await unlink(join(pathOf(key), name)).catch(() => undefined);
    }
    return names.filter((name) => !name.startsWith("."));
  };
  const read = (key: string) => readFile(pathOf(key), "utf8").catch(nullIfNoFile);
  const write = (key: string, value: Uint8Array | string, { durable = true } = {}) =>
    replaceFile(pathOf(key), value, { durable, writer });
  const remove = async (key: string, { durable = true } = {}) => {
    const path = pathOf(key);
    await unlink(path).catch(nullIfMissing);
    if (durable) await syncPath(dirname(path));
  };
  const changes = createFsChanges({ folder: join(root, ".changes"), writer, read, write, remove });
  const undisturbed = async <T>(key: string, action: () => Promise<T>) => {
    await changes.settled(key);
    return action();
  };
  return {
    name: "atomic-fs",
    options: { base },
    flags: { maxDepth: true },
    async open() {
      await changes.complete();
      return [];
    },
    change: changes.make,
    children: async (key, page) => pageOf(await namesIn(key), page),
    hasItem: async (key) => (await stat(pathOf(key)).catch(nullIfMissing))?.isFile() ?? false,
    getItem: (key) => undisturbed(key, () => read(key)),
    getItemRaw: async (key) => readFile(pathOf(key)).catch(nullIfNoFile),
    setItem: (key, value, options) => undisturbed(key, () => write(key, value, options)),
    setItemRaw: (key, bytes) => write(key, bytes),
    removeItem: (key, options) => undisturbed(key, () => remove(key, options)),
    async getMeta(key) {
      const info = await stat(pathOf(key)).catch(nullIfMissing);
      return info === null ? null : { mtime: info.mtime, atime: info.atime, size: info.size };
    },
    getKeys: (key, options) => walk(namesIn, pathOf, key.replace(/:$/, ""), options?.maxDepth),
    clear: () => rm(root, { recursive: true, force: true }),
    clearPrefix: (prefix) => rm(pathOf(prefix), { recursive: true, force: true }),
  };
}

async function walk(
  namesIn: (key: string) => Promise<string[]>,
  pathOf: (key: string) => string,
  base: string,
  maxDepth = Number.POSITIVE_INFINITY,
): Promise<string[]> {
  const keys: string[] = [];
  for (const name of await namesIn(base)) {
    const key = base === "" ? name : `${base}:${name}`;
    const info = await stat(pathOf(key)).catch(nullIfMissing);
    if (info?.isFile()) keys.push(key);
    else if (info?.isDirectory() && key.split(":").length <= maxDepth) {
      keys.push(...(await walk(namesIn, pathOf, key, maxDepth)));
    }
  }
  return keys;
}

/** A folder is the beginning of other keys, and no record. */
function nullIfNoFile(error: unknown): null {
  return error instanceof Error && "code" in error && error.code === "EISDIR" ? null : nullIfMissing(error);
}

function isLitter(name: string, writer: string): boolean {
  return name.startsWith(temporaryPrefix) && !name.startsWith(temporaryPrefix + writer);
}
