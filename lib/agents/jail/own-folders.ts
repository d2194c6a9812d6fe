import { lstatSync, mkdirSync, rmSync } from "node:fs";
import { join, sep } from "node:path";

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

/** Removes what is no folder (and no file, at the end) on the way to places in a folder that an agent may write to. */
export function clearWay(root: string, places: readonly string[]): void {
  for (const place of places) {
    const parts = place.split(sep).filter(Boolean);
    let path = root;
    for (const [index, part] of parts.entries()) {
      path = join(path, part);
      const info = lstatSync(path, { throwIfNoEntry: false });
      if (info === undefined) break;
      const isLast = index === parts.length - 1;
      if (info.isDirectory() || (isLast && info.isFile())) continue;
      rmSync(path);
      break;
    }
  }
}
