import { join } from "node:path";
import type { CgroupLevel, CgroupVersion } from "./cgroups.ts";
import { parseKeyed, readKernelFile, readLimit, tightest } from "./kernel-files.ts";

/** One place that limits memory: a cgroup on the way up, or the whole machine ("host"). */
interface MemoryLevel {
  limit_bytes: number;
  /** Memory in use, without page cache the kernel can take back at once. */
  used_bytes: number;
  source: CgroupVersion | "host";
  /** 0 is the own cgroup (and the host), 1 its parent, and so on. */
  levels_up: number;
}

/** Memory this process may still use: the numbers of the tightest level, and every level they were picked from. */
export interface MemoryCapacity {
  limit_bytes: number;
  used_bytes: number;
  available_bytes: number;
  source: CgroupVersion | "host";
  levels: readonly MemoryLevel[];
}

/** Reads all levels that limit memory; null when there is none, not even the machine's own size. */
export async function readMemory(
  fsRoot: string,
  cgroups: readonly CgroupLevel[],
): Promise<MemoryCapacity | null> {
  const read = await Promise.all([...cgroups.map(readLevel), readHost(fsRoot)]);
  return tightestMemory(read.filter((level) => level !== undefined));
}

/** The level with the least memory left, with all levels beside it. */
function tightestMemory(levels: readonly MemoryLevel[]): MemoryCapacity | null {
  const [first] = levels.toSorted((a, b) => bytesLeft(a) - bytesLeft(b));
  if (first === undefined) return null;
  const { limit_bytes, used_bytes, source } = first;
  return { limit_bytes, used_bytes, available_bytes: bytesLeft(first), source, levels };
}

/**
 * The `current` limits with the use of `idle`, level by level: what would be left if nothing of ours ran.
 * A level that `idle` does not know is taken as it is.
 */
export function memoryWithIdleUse(current: MemoryCapacity, idle: MemoryCapacity): MemoryCapacity {
  const levels = current.levels.map((level) => {
    const then = idle.levels.find(
      ({ source, levels_up }) => source === level.source && levels_up === level.levels_up,
    );
    return { ...level, used_bytes: Math.min(level.used_bytes, then?.used_bytes ?? level.used_bytes) };
  });
  return tightestMemory(levels) ?? current;
}

function bytesLeft({ limit_bytes, used_bytes }: MemoryLevel): number {
  return Math.max(0, limit_bytes - used_bytes);
}

/** One cgroup (kernel docs: cgroup-v2 "memory interface files", cgroup-v1/memory); undefined when it sets no limit. */
async function readLevel({ source, directory, levelsUp }: CgroupLevel): Promise<MemoryLevel | undefined> {
  const file = (name: string) => join(directory, name);
  const statText = await readKernelFile(file("memory.stat"));
  const unified = source === "cgroup2";
  const limit = unified
    ? tightest(await readLimit(file("memory.max")), await readLimit(file("memory.high")))
    : // v1 names the tightest ancestor here, also one that a container cannot see.
      tightest(
        await readLimit(file("memory.limit_in_bytes")),
        parseKeyed(statText, "hierarchical_memory_limit"),
      );
  if (!Number.isFinite(limit)) return undefined;
  const usage = await readLimit(file(unified ? "memory.current" : "memory.usage_in_bytes"));
  const cache = parseKeyed(statText, unified ? "inactive_file" : "total_inactive_file") ?? 0;
  return {
    limit_bytes: limit,
    // A limit without a readable use still bounds us; the host's own reading covers the rest.
    used_bytes: Math.max(0, (usage ?? 0) - cache),
    source,
    levels_up: levelsUp,
  };
}

/** The machine (proc_meminfo(5), values in KiB). */
async function readHost(fsRoot: string): Promise<MemoryLevel | undefined> {
  const text = await readKernelFile(join(fsRoot, "proc/meminfo"));
  const total = parseKeyed(text, "MemTotal");
  const available = parseKeyed(text, "MemAvailable");
  if (total === undefined || available === undefined) return undefined;
  return {
    limit_bytes: total * 1024,
    used_bytes: Math.max(0, total - available) * 1024,
    source: "host",
    levels_up: 0,
  };
}
