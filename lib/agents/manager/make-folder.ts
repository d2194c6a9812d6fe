import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { codeOf } from "./config-folders.ts";

/**
 * Makes a folder and those above it. Not `mkdir` with `recursive`: that one never returns where the system says ENOENT
 * although the parent is there, as below /proc.
 * @throws Error of the system
 */
export async function makeFolder(path: string): Promise<void> {
  const error = await attempt(path);
  if (error === null) return;
  if (codeOf(error) !== "ENOENT" || dirname(path) === path) throw error;
  await makeFolder(dirname(path));
  const again = await attempt(path);
  if (again !== null) throw again;
}

/** Null when the folder is there; else why it is not. */
async function attempt(path: string): Promise<unknown> {
  try {
    await mkdir(path);
    return null;
  } catch (error) {
    const isThere = await stat(path).then(
      (info) => info.isDirectory(),
      () => false,
    );
    return isThere ? null : error;
  }
}
