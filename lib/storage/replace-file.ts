import { randomUUID } from "node:crypto";
import { closeSync, fsync, mkdirSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { mkdir, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import pLimit from "p-limit";

/** Names that start so are writes in progress; a crash leaves them behind and no reader ever sees them. */
export const temporaryPrefix = ".tmp-";

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
/** Makes a file, or the names in a folder, durable (fsync(2)). */
export async function syncPath(path: string): Promise<void> {
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

/** For what may be missing: null then. Any other error is thrown. */
export function nullIfMissing(error: unknown): null {
  if (isMissing(error)) return null;
  throw error;
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");
}
