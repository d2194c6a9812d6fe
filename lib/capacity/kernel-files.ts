import { readFile } from "node:fs/promises";

/** From here on a limit is none: cgroup v1 writes "no limit" as 2^63 less a page, and no machine holds 2^60 bytes. */
const NO_LIMIT_FROM = 2 ** 60;

/** The text of a small kernel file, or undefined when it is missing or may not be read. */
export async function readKernelFile(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch {
    return undefined;
  }
}

/**
 * A limit as the kernel writes it: "max" (cgroup v2), "unlimited" (/proc/self/limits), a negative or a huge number
 * (cgroup v1) all mean Infinity. Undefined when there is no number to read.
 */
export function parseLimit(text: string | undefined): number | undefined {
  const word = text?.trim();
  if (word === undefined || word === "") return undefined;
  if (word === "max" || word === "unlimited") return Number.POSITIVE_INFINITY;
  const value = Number(word);
  if (Number.isNaN(value)) return undefined;
  return value < 0 || value >= NO_LIMIT_FROM ? Number.POSITIVE_INFINITY : value;
}

/** The limit that is a file's whole content; see `parseLimit`. */
export async function readLimit(path: string): Promise<number | undefined> {
  return parseLimit(await readKernelFile(path));
}

/** A count from a "flat keyed" file such as memory.stat or /proc/meminfo: the first number after `key`. */
export function parseKeyed(text: string | undefined, key: string): number | undefined {
  for (const line of text?.split("\n") ?? []) {
    const [name, value] = line.split(/[\s:]+/, 2);
    if (name === key) return parseLimit(value);
  }
  return undefined;
}

/** The smallest of the limits that could be read; Infinity when none could. */
export function tightest(...limits: readonly (number | undefined)[]): number {
  return Math.min(Number.POSITIVE_INFINITY, ...limits.filter((limit) => limit !== undefined));
}
