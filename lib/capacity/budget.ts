/** What one run needs of the machine at its peak. */
export interface Need {
  memory_mib: number;
  /** Processes and threads: a pids limit counts both. */
  pids: number;
  fds: number;
}

export type Resource = keyof Need;

/** What all runs together may need; null: as much as they like. */
export type Budget = Readonly<Record<Resource, number | null>>;

const resources = ["memory_mib", "pids", "fds"] as const satisfies Resource[];
export const unlimited: Budget = { memory_mib: null, pids: null, fds: null };
export const nothing: Readonly<Need> = { memory_mib: 0, pids: 0, fds: 0 };

/** Makes a need (or a budget) by asking for each resource in turn. */
export function eachResource<T>(of: (resource: Resource) => T): Record<Resource, T> {
  return { memory_mib: of("memory_mib"), pids: of("pids"), fds: of("fds") };
}

/** The resource that `need` would overdraw where `reserved` is spoken for already; null when it fits. */
export function shortOf(budget: Budget, reserved: Readonly<Need>, need: Readonly<Need>): Resource | null {
  for (const resource of resources) {
    const most = budget[resource];
    if (most !== null && reserved[resource] + need[resource] > most) return resource;
  }
  return null;
}

/** Adds a need to a sum, or with a negative sign takes it off again. */
export function addNeed(sum: Need, need: Readonly<Need>, sign: 1 | -1): void {
  for (const resource of resources) sum[resource] += sign * need[resource];
}
