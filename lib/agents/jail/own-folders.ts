import { lstatSync, mkdirSync, rmSync } from "node:fs";
import { join, relative, sep } from "node:path";
import type { Mount } from "./arguments.ts";
import { isWithin, kindOf } from "./hidden.ts";

/** Makes a folder with its parents. False when that cannot be done. */
export function makeFolder(path: string): boolean {
  try {
    mkdirSync(path, { recursive: true });
    return true;
  } catch {
    return false;
  }
}

/**
 * Makes a folder in one that an agent may write to, and gives its path. Links and files that stand in the way are removed:
 * followed, a link would let an agent choose what of the machine is mounted for it.
 */
export function makeFolderWithin(root: string, below: string): string {
  let path = root;
  for (const part of below.split(sep).filter(Boolean)) {
    path = join(path, part);
    const info = lstatSync(path, { throwIfNoEntry: false });
    if (info?.isDirectory()) continue;
    if (info !== undefined) rmSync(path);
    mkdirSync(path);
  }
  return path;
}

/**
 * Removes from folders that an agent may write to what would lead mounts elsewhere, or stand in their way: links, and files
 * where a folder is to be mounted or the other way round. bubblewrap makes what is missing then.
 */
export function clearWays(folders: readonly { at: string; from: string }[], mounts: readonly Mount[]): void {
  for (const { at, from } of folders)
    for (const mount of mounts)
      if (mount.at !== at && isWithin(mount.at, at)) clearWay(from, relative(at, mount.at), isFolder(mount));
}

function clearWay(root: string, place: string, endsWithFolder: boolean): void {
  const parts = place.split(sep).filter(Boolean);
  let path = root;
  for (const [index, part] of parts.entries()) {
    path = join(path, part);
    const info = lstatSync(path, { throwIfNoEntry: false });
    if (info === undefined) return;
    const wantsFolder = index < parts.length - 1 || endsWithFolder;
    if (wantsFolder ? info.isDirectory() : info.isFile()) continue;
    rmSync(path, { recursive: true, force: true });
    return;
  }
}

function isFolder(mount: Mount): boolean {
  if (mount.as === "hidden") return true;
  return mount.as !== "masked" && mount.as !== "link" && kindOf(mount.from) === "folder";
}
