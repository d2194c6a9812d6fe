import { randomUUID } from "node:crypto";
import { chmod, lstat, open, readFile, readlink, realpath, rename, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { codeOf } from "../manager/config-folders.ts";
import { makeFolder } from "../manager/make-folder.ts";

export interface Replacement {
  /** Absolute; a link is followed, so that what it names is replaced and not the link. */
  path: string;
  content: Uint8Array;
}

/** Names that start so are files on their way; a crash leaves them behind. */
export const temporaryPrefix = ".skill-runner-login-";

/**
 * Replaces files, each whole and durably, readable by the owner alone. All are written beside their places before the
 * first is put there; when one cannot be, those before it get back what they held. A crash between two of them leaves the
 * one new and the other old: send them again.
 * @throws Error of the system (EACCES, ENOSPC, EROFS ...); its message may hold paths
 */
export async function replaceTogether(replacements: readonly Replacement[]): Promise<void> {
  const staged: { temporary: string; path: string; before: Uint8Array | null }[] = [];
  const placed: typeof staged = [];
  try {
    for (const { path, content } of replacements) {
      const target = await followLinks(path);
      // Read first: a file that cannot be read must not leave a credential lying beside it.
      const before = await contentOf(target);
      staged.push({ temporary: await writeBeside(target, content), path: target, before });
    }
    for (const file of staged) {
      await rename(file.temporary, file.path);
      placed.push(file);
    }
    for (const folder of new Set(staged.map(({ path }) => dirname(path)))) await syncFolder(folder);
  } catch (error) {
    for (const { path, before } of placed) await putBack(path, before);
    throw error;
  } finally {
    await Promise.all(staged.map(({ temporary }) => rm(temporary, { force: true })));
  }
}

async function putBack(path: string, before: Uint8Array | null): Promise<void> {
  if (before === null) return rm(path, { force: true });
  await rename(await writeBeside(path, before), path);
}

/** @returns the temporary file's path, in the same folder: rename(2) does not cross file systems. */
async function writeBeside(path: string, content: Uint8Array): Promise<string> {
  const folder = dirname(path);
  await privateFolder(folder);
  const temporary = join(folder, `${temporaryPrefix}${randomUUID()}`);
  const file = await open(temporary, "wx", 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  return temporary;
}

async function privateFolder(folder: string): Promise<void> {
  if ((await lstat(folder).catch(() => null)) !== null) return;
  await makeFolder(folder);
  await chmod(folder, 0o700);
}

/** Null for what holds nothing that could be put back. */
async function contentOf(path: string): Promise<Uint8Array | null> {
  try {
    return await readFile(path);
  } catch (error) {
    if (["ENOENT", "EISDIR"].includes(codeOf(error))) return null;
    throw error;
  }
}

const mostLinks = 40;

/** Like realpath(3), but for a path whose end is not there yet: a new container's links name folders to be made. */
async function followLinks(path: string, left = mostLinks): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (codeOf(error) !== "ENOENT" || dirname(path) === path || left === 0) throw error;
  }
  const target = await readlink(path).catch(() => null);
  if (target !== null) return followLinks(resolve(dirname(path), target), left - 1);
  return resolve(
    await followLinks(dirname(path), left),
    path.slice(dirname(path).length).replace(/^\/+/, ""),
  );
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
