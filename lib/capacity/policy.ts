import type { CapacityProbe } from "./probe.ts";

/** How much of the machine to use; every field is one `SKILL_RUNNER_*` environment variable. */
export interface CapacitySettings {
  /** Most runs at once, whatever the machine. */
  maxConcurrentHardCap: number;
  /** Most jobs that may wait for a slot. */
  maxQueueSize: number;
  /** Runs per core. */
  cpuFactor: number;
  /** MiB kept free, and MiB one run needs. */
  memReserveMb: number;
  estimatedMemPerRunMb: number;
  /** File descriptors kept free, and descriptors one run needs. */
  fdReserve: number;
  estimatedFdPerRun: number;
  /** Processes kept free, and processes one run needs. */
  pidReserve: number;
  estimatedPidPerRun: number;
  /** Most runs at once when the machine could not be read. */
  fallbackMaxConcurrent: number;
}

export const defaultCapacitySettings: Readonly<CapacitySettings> = {
  maxConcurrentHardCap: 16,
  maxQueueSize: 128,
  cpuFactor: 0.75,
  memReserveMb: 1024,
  estimatedMemPerRunMb: 1024,
  fdReserve: 256,
  estimatedFdPerRun: 64,
  pidReserve: 128,
  estimatedPidPerRun: 1,
  fallbackMaxConcurrent: 2,
};

export type CapacityBound = "cpu" | "memory" | "pids" | "fds" | "hard_cap" | "fallback";

/** How many runs at once, and why. A limit in `limits` is null when its resource could not be read. */
export interface CapacityDecision {
  max_concurrent: number;
  reason: string;
  bounded_by: CapacityBound;
  limits: {
    cpu: number | null;
    memory: number | null;
    pids: number | null;
    fds: number | null;
    hard_cap: number;
  };
}

/** What one resource allows, and the sentence that says so. */
interface Bound {
  by: CapacityBound;
  runs: number;
  reason: string;
}

const MIB = 1024 * 1024;

/** Turns what the machine has into a number of runs: the least that any one resource allows, and at least 1. */
export function decideCapacity(probe: CapacityProbe, settings: CapacitySettings): CapacityDecision {
  const hardCap = bound("hard_cap", "hard cap", settings.maxConcurrentHardCap);
  const cpu = cpuBound(probe, settings);
  const memory = memoryBound(probe, settings);
  const pids = pidBound(probe, settings, hardCap);
  const fds = fdBound(probe, settings, hardCap);
  const limits = {
    cpu: cpu?.runs ?? null,
    memory: memory?.runs ?? null,
    pids: pids?.runs ?? null,
    fds: fds?.runs ?? null,
    hard_cap: hardCap.runs,
  };

  if (cpu === null || memory === null || pids === null || fds === null) {
    const unread = Object.entries({ cpu, memory, pids, fds }).flatMap(([name, found]) =>
      found ? [] : [name],
    );
    const runs = Math.min(atLeastOne(settings.fallbackMaxConcurrent), hardCap.runs);
    const reason = `fallback: ${unread.join(", ")} could not be read, so ${runs}`;
    return { max_concurrent: runs, reason, bounded_by: "fallback", limits };
  }
  // The cap comes last: on a tie the resource is named, because raising the cap alone would change nothing.
  const least = [cpu, memory, pids, fds, hardCap].reduce((a, b) => (b.runs < a.runs ? b : a));
  return { max_concurrent: least.runs, reason: least.reason, bounded_by: least.by, limits };
}

function cpuBound({ cpu }: CapacityProbe, { cpuFactor }: CapacitySettings): Bound | null {
  if (cpu === null) return null;
  const cores = Math.round(cpu.cores * 100) / 100;
  return bound("cpu", `cpu: ${cores} cores x ${cpuFactor}`, cpu.cores * cpuFactor);
}

function memoryBound({ memory }: CapacityProbe, settings: CapacitySettings): Bound | null {
  if (memory === null) return null;
  const available = Math.floor(memory.available_bytes / MIB);
  const { memReserveMb: reserve, estimatedMemPerRunMb: perRun } = settings;
  const sum = `memory: (${available} MiB available - ${reserve} MiB reserve) / ${perRun} MiB per run`;
  return bound("memory", sum, (available - reserve) / Math.max(1, perRun));
}

function pidBound({ pids }: CapacityProbe, settings: CapacitySettings, unlimited: Bound): Bound | null {
  if (pids === null) return null;
  if (pids.limit === null) return unlimited;
  const { pidReserve: reserve, estimatedPidPerRun: perRun } = settings;
  const used = pids.used === null ? "" : ` - ${pids.used} used`;
  const sum = `pids: (limit ${pids.limit}${used} - ${reserve} reserve) / ${perRun} per run`;
  return bound("pids", sum, (pids.limit - (pids.used ?? 0) - reserve) / Math.max(1, perRun));
}

function fdBound({ fds }: CapacityProbe, settings: CapacitySettings, unlimited: Bound): Bound | null {
  if (fds === null) return null;
  if (fds.limit === null) return unlimited;
  const { fdReserve: reserve, estimatedFdPerRun: perRun } = settings;
  const sum = `fds: (limit ${fds.limit} - ${reserve} reserve) / ${perRun} per run`;
  return bound("fds", sum, (fds.limit - reserve) / Math.max(1, perRun));
}

/** `runs` may be a fraction or below 1; a machine however small still runs one at a time. */
function bound(by: CapacityBound, sum: string, runs: number): Bound {
  const whole = atLeastOne(runs);
  return { by, runs: whole, reason: runs < 1 ? `${sum} is below 1, so 1` : `${sum} = ${whole}` };
}

function atLeastOne(runs: number): number {
  return Math.max(1, Math.floor(runs));
}
