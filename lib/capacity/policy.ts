import { type Budget, eachResource, type Need, type Resource, unlimited } from "./budget.ts";
import type { CapacityProbe } from "./probe.ts";
import { type CapacitySettings, needBySetting } from "./settings.ts";

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

/** What a resource leaves to all runs together (null: as much as they like), and how that came about. */
interface Left {
  amount: number | null;
  sum: string;
}

const MIB = 1024 * 1024;

/**
 * Turns what the machine has into a number of runs: the least that any one resource allows, and at least 1.
 * @param lightest least that a run of any engine needs of each resource: more runs than that allows never fit
 */
export function decideCapacity(
  probe: CapacityProbe,
  settings: CapacitySettings,
  lightest: Readonly<Need>,
): CapacityDecision {
  const hardCap = bound("hard_cap", "hard cap", settings.maxConcurrentHardCap);
  const cpu = cpuBound(probe, settings);
  const left = leftOf(probe, settings);
  const boundOf = (by: CapacityBound, resource: Resource, unit = "") => {
    const found = left[resource];
    if (found === null) return null;
    if (found.amount === null) return hardCap;
    const whose = needBySetting(settings)[resource] === null ? "per run of the lightest engine" : "per run";
    const perRun = lightest[resource];
    return bound(by, `${found.sum} / ${perRun}${unit} ${whose}`, found.amount / Math.max(1, perRun));
  };
  const memory = boundOf("memory", "memory_mib", " MiB");
  const pids = boundOf("pids", "pids");
  const fds = boundOf("fds", "fds");
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

/** What all runs together may need. Unlimited where the machine could not be read: then the fallback number rules. */
export function runBudget(probe: CapacityProbe, settings: CapacitySettings): Budget {
  const left = leftOf(probe, settings);
  if (probe.cpu === null || Object.values(left).includes(null)) return unlimited;
  return eachResource((resource) => {
    const amount = left[resource]?.amount ?? null;
    return amount === null ? null : Math.max(0, amount);
  });
}

/** Null for a resource that could not be read. */
function leftOf(
  { memory, pids, fds }: CapacityProbe,
  { memReserveMb, pidReserve, fdReserve }: CapacitySettings,
): Record<Resource, Left | null> {
  const available = memory && Math.floor(memory.available_bytes / MIB);
  const used = pids?.used ?? 0;
  const usedText = pids?.used === null ? "" : ` - ${used} used`;
  return {
    memory_mib:
      available === null
        ? null
        : {
            amount: available - memReserveMb,
            sum: `memory: (${available} MiB available - ${memReserveMb} MiB reserve)`,
          },
    pids: pids && {
      amount: pids.limit === null ? null : pids.limit - used - pidReserve,
      sum: `pids: (limit ${pids.limit}${usedText} - ${pidReserve} reserve)`,
    },
    fds: fds && {
      amount: fds.limit === null ? null : fds.limit - fdReserve,
      sum: `fds: (limit ${fds.limit} - ${fdReserve} reserve)`,
    },
  };
}

function cpuBound({ cpu }: CapacityProbe, { cpuFactor }: CapacitySettings): Bound | null {
  if (cpu === null) return null;
  const cores = Math.round(cpu.cores * 100) / 100;
  return bound("cpu", `cpu: ${cores} cores x ${cpuFactor}`, cpu.cores * cpuFactor);
}

/** `runs` may be a fraction or below 1; a machine however small still runs one at a time. */
function bound(by: CapacityBound, sum: string, runs: number): Bound {
  const whole = atLeastOne(runs);
  return { by, runs: whole, reason: runs < 1 ? `${sum} is below 1, so 1` : `${sum} = ${whole}` };
}

function atLeastOne(runs: number): number {
  return Math.max(1, Math.floor(runs));
}
