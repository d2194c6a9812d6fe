import { readlinkSync } from "node:fs";
import { dirname, isAbsolute, join, normalize, sep } from "node:path";
import type { Mount } from "./arguments.ts";
import { isWithin, realPathOf } from "./hidden.ts";

/** What a place needs so that it is found inside by its name, and not only where it really lies. */
export interface Way {
  /** Links to be made anew, as those that stood there are hidden. */
  links: Mount[];
  /** Places where the same must be mounted again, as no link can be made there. */
  names: string[];
}

/** Most links that are followed, as in the kernel (path_resolution(7)). */
const mostLinks = 40;

/**
 * Follows a path from link to link, as a program inside does, and finds out what of it is lacking there.
 * @param mounts what is seen inside; links stand in what is hidden, and what is writable is the run's own
 */
export function wayTo(path: string, mounts: readonly Mount[]): Way {
  const links: Mount[] = [];
  const names: string[] = [];
  let real = "/";
  let rest = partsOf(normalize(path));
  for (let hops = 0; hops < mostLinks; ) {
    const [part, ...after] = rest;
    if (part === undefined) break;
    const at = part === ".." ? dirname(real) : join(real, part);
    const to = linkAt(at);
    if (to === null) {
      real = at;
      rest = after;
      continue;
    }
    hops += 1;
    const seen = nearest(at, mounts);
    if (seen?.as === "hidden") links.push({ at, as: "link", to: realPathOf(at) });
    if (seen?.as === "writable") names.push(join(at, ...after));
    if (isAbsolute(to)) real = "/";
    rest = [...partsOf(to), ...after];
  }
  return { links, names };
}

function nearest(at: string, mounts: readonly Mount[]): Mount | undefined {
  let found: Mount | undefined;
  for (const mount of mounts) {
    const isNearer = found === undefined || mount.at.length >= found.at.length;
    if (isNearer && isWithin(at, mount.at)) found = mount;
  }
  return found;
}

function linkAt(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    // No link, or nothing at all.
    return null;
  }
}

function partsOf(path: string): string[] {
  return path.split(sep).filter((part) => part !== "" && part !== ".");
}
