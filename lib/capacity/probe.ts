import { availableParallelism } from "node:os";
import { findCgroups } from "./cgroups.ts";
import { type CpuCapacity, readCpu } from "./cpu-probe.ts";
import { type MemoryCapacity, memoryWithIdleUse, readMemory } from "./memory-probe.ts";
import {
  type FdCapacity,
  fdCapacity,
  type PidCapacity,
  pidsWithIdleUse,
  readPids,
  readProcessLimits,
} from "./process-probe.ts";

/** What this process may use. A section that could not be read is null, and `problems` says why in a sentence. */
export interface CapacityProbe {
  cpu: CpuCapacity | null;
  memory: MemoryCapacity | null;
  pids: PidCapacity | null;
  fds: FdCapacity | null;
  problems: string[];
}

export interface ProbeOptions {
  /** Where /proc and /sys are found; default "/". */
  root?: string;
  /** Cores the scheduler lets this process use; default `os.availableParallelism`. */
  hostCores?: () => number;
}

/**
 * Reads what the container, not the machine, leaves to this process: cgroup v2, cgroup v1, then the host.
 * Never throws for a file that is missing; on a system without /proc most sections are null.
 */
export async function probeCapacity(options: ProbeOptions = {}): Promise<CapacityProbe> {
  const { root = "/", hostCores = availableParallelism } = options;
  const [cgroups, limits] = await Promise.all([findCgroups(root), readProcessLimits(root)]);
  const [cpu, memory, pids] = await Promise.all([
    readCpu(cgroups.cpu, hostCores()),
    readMemory(root, cgroups.memory),
    readPids(root, cgroups.pids, limits),
  ]);
  const fds = fdCapacity(limits);

  const problems: string[] = [];
  if (cpu === null) problems.push("The number of CPU cores could not be read.");
  if (memory === null) {
    problems.push("Memory could not be read: no cgroup limit, and no MemAvailable in /proc/meminfo.");
  }
  if (pids === null) {
    problems.push("The process limit could not be read: no cgroup limit, and none in /proc/self/limits.");
  }
  if (fds === null) problems.push("The open file limit could not be read from /proc/self/limits.");
  return { cpu, memory, pids, fds, problems };
}

/** A probe that found out nothing, for the one reason given. */
export function failedProbe(problem: string): CapacityProbe {
  return { cpu: null, memory: null, pids: null, fds: null, problems: [problem] };
}

/** The limits of `current` with the memory and processes that were in use when `idle` was taken. */
export function withIdleUse(current: CapacityProbe, idle: CapacityProbe): CapacityProbe {
  const { memory, pids } = current;
  return {
    ...current,
    memory: memory && idle.memory ? memoryWithIdleUse(memory, idle.memory) : memory,
    pids: pids && idle.pids ? pidsWithIdleUse(pids, idle.pids) : pids,
  };
}
