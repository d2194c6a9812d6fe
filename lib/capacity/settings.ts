import type { Need, Resource } from "./budget.ts";

/** How much of the machine to use; every field is one `SKILL_RUNNER_*` environment variable. */
export interface CapacitySettings {
  /** Most runs at once, whatever the machine. */
  maxConcurrentHardCap: number;
  /** Most jobs that may wait for a slot. */
  maxQueueSize: number;
  /** Runs per core. */
  cpuFactor: number;
  /** MiB kept free, and MiB every run needs; null leaves that to the engines. */
  memReserveMb: number;
  estimatedMemPerRunMb: number | null;
  /** File descriptors kept free, and descriptors every run needs; null leaves that to the engines. */
  fdReserve: number;
  estimatedFdPerRun: number | null;
  /** Processes kept free, and processes every run needs; null leaves that to the engines. */
  pidReserve: number;
  estimatedPidPerRun: number | null;
  /** Most runs at once when the machine could not be read. */
  fallbackMaxConcurrent: number;
}

/** The three estimates hold for a run of whose engine nothing is known. */
export const defaultCapacitySettings = {
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
} as const satisfies CapacitySettings;

export const defaultNeed: Readonly<Need> = {
  memory_mib: defaultCapacitySettings.estimatedMemPerRunMb,
  pids: defaultCapacitySettings.estimatedPidPerRun,
  fds: defaultCapacitySettings.estimatedFdPerRun,
};

/** What the operator says that every run needs; null where he leaves it to the engines. */
export function needBySetting(settings: CapacitySettings): Readonly<Record<Resource, number | null>> {
  return {
    memory_mib: settings.estimatedMemPerRunMb,
    pids: settings.estimatedPidPerRun,
    fds: settings.estimatedFdPerRun,
  };
}
