import { join } from "node:path";
import type { CgroupLevel, CgroupVersion } from "./cgroups.ts";
import { parseLimit, readKernelFile, readLimit, tightest } from "./kernel-files.ts";

/** One place that limits processes and threads: a cgroup, RLIMIT_NPROC, or the kernel's own maximum. */
interface PidLevel {
  limit: number;
  /** Null when only the limit is known, which is so for all but cgroups. */
  used: number | null;
  source: CgroupVersion | "rlimit" | "kernel";
  levels_up: number;
}

/** Processes and threads this process may have: the tightest level, and every level it was picked from. */
export interface PidCapacity {
  /** Null means no limit. */
  limit: number | null;
  used: number | null;
  source: CgroupVersion | "rlimit" | "kernel";
  levels: readonly PidLevel[];
}

/** File descriptors one process may have open. */
export interface FdCapacity {
  /** Null means no limit. */
  limit: number | null;
  source: "rlimit";
}

/** Soft limits of this process; Infinity is "unlimited", undefined could not be read. */
export interface ProcessLimits {
  openFiles: number | undefined;
  processes: number | undefined;
}

/** Reads the soft RLIMIT_NOFILE and RLIMIT_NPROC (proc_pid_limits(5), getrlimit(2)). */
export async function readProcessLimits(fsRoot: string): Promise<ProcessLimits> {
  const text = await readKernelFile(join(fsRoot, "proc/self/limits"));
  const soft = (name: string) => parseLimit(new RegExp(`^${name}\\s+(\\S+)`, "m").exec(text ?? "")?.[1]);
  return { openFiles: soft("Max open files"), processes: soft("Max processes") };
}

/** The descriptor limit as a section of the probe; null when it could not be read. */
export function fdCapacity({ openFiles }: ProcessLimits): FdCapacity | null {
  if (openFiles === undefined) return null;
  return { limit: Number.isFinite(openFiles) ? openFiles : null, source: "rlimit" };
}

/** Reads all levels that limit processes; null when nothing about them could be read. */
export async function readPids(
  fsRoot: string,
  cgroups: readonly CgroupLevel[],
  { processes }: ProcessLimits,
): Promise<PidCapacity | null> {
  // proc_sys_kernel(5): pid_max counts ids, threads-max counts threads; both hold for the whole machine.
  const kernel = tightest(
    await readLimit(join(fsRoot, "proc/sys/kernel/pid_max")),
    await readLimit(join(fsRoot, "proc/sys/kernel/threads-max")),
  );
  const read: PidLevel[] = [
    ...(await Promise.all(cgroups.map(readLevel))),
    { limit: processes ?? Number.POSITIVE_INFINITY, used: null, source: "rlimit", levels_up: 0 },
    { limit: kernel, used: null, source: "kernel", levels_up: 0 },
  ];
  const limited = tightestPids(read.filter(({ limit }) => Number.isFinite(limit)));
  if (limited === null && processes !== undefined) {
    return { limit: null, used: null, source: "rlimit", levels: [] };
  }
  return limited;
}

/** The `current` limits with the use of `idle`, level by level: what would be left if nothing of ours ran. */
export function pidsWithIdleUse(current: PidCapacity, idle: PidCapacity): PidCapacity {
  const levels = current.levels.map((level) => {
    const then = idle.levels.find(
      ({ source, levels_up }) => source === level.source && levels_up === level.levels_up,
    );
    const used =
      level.used === null || !then || then.used === null ? level.used : Math.min(level.used, then.used);
    return { ...level, used };
  });
  return tightestPids(levels) ?? current;
}

function tightestPids(levels: readonly PidLevel[]): PidCapacity | null {
  const left = ({ limit, used }: PidLevel) => limit - (used ?? 0);
  const [first] = levels.toSorted((a, b) => left(a) - left(b));
  return first === undefined ? null : { limit: first.limit, used: first.used, source: first.source, levels };
}

/** One cgroup (kernel docs: cgroup-v2 "PID", cgroup-v1/pids): the files have the same names in both versions. */
async function readLevel({ source, directory, levelsUp }: CgroupLevel): Promise<PidLevel> {
  const limit = (await readLimit(join(directory, "pids.max"))) ?? Number.POSITIVE_INFINITY;
  const used = (await readLimit(join(directory, "pids.current"))) ?? null;
  return { limit, used, source, levels_up: levelsUp };
}
