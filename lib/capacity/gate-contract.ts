import type { Budget, Need, Resource } from "./budget.ts";

export interface GateOptions {
  /** Most tasks at once; an integer of 1 or more. */
  limit: number;
  /** What all running tasks together may need; default: as much as they like. */
  budget?: Budget;
  /** Most tasks at once by label, each 1 or more; default: none. */
  caps?: ReadonlyMap<string, number>;
  /** Most places that may be held without a slot. */
  maxQueueSize: number;
  /** A clock in ms that never goes back; default `performance.now`. */
  now?: () => number;
}

/** What the gate goes by when it lets somebody in. */
export interface GateEntry {
  /** What it needs of the budget: asked when its turn has come, and must not throw. Default: nothing but a slot. */
  need?: () => Need;
  /** The least number is served first; among equals, who came first. Default: `defaultPriority`. */
  priority?: number;
  /** What it counts as where there are caps, such as its engine and its skill. Default: nothing. */
  labels?: readonly string[];
}

export const defaultPriority = 5;

/** A place in the queue. It is held until `run` gets a slot or gives up, or until `release`. */
export interface Reservation {
  /**
   * Waits for a slot, for room in the budget and under its caps, then runs `task` and gives its result. Aborting `signal` while it waits
   * gives the place up at once and rejects with the signal's reason; once the task has begun, the signal is the task's
   * own business.
   */
  run<T>(task: () => Promise<T>, options?: { signal?: AbortSignal }): Promise<T>;
  /** Gives up a place that was never run; does nothing otherwise. */
  release(): void;
}

export interface GateSnapshot {
  running: number;
  queued: number;
  max_concurrent: number;
  max_queue_size: number;
}

/**
 * Lets so many tasks run at once and so many more wait. Who waits is served by priority, then first come first served:
 *
 * - Who is over a cap is passed by, holds back nobody who is under his, and keeps his place.
 * - The first that no cap holds back, too heavy for what is left of the budget, holds back everything behind it: lighter
 *   ones cannot starve it. With nothing running, any task may run.
 * - What is more urgent goes first for as long as there is some of it. Who counts towards two caps needs room under both
 *   at once; those that need only the one may be served meanwhile.
 */
export interface Gate {
  /** Most tasks at once. Lowering it stops nothing that runs; raising it starts waiting tasks. */
  limit: number;
  /** What all running tasks together may need. Lowering it stops nothing that runs; raising it starts waiting tasks. */
  budget: Budget;
  /** What the tasks in slots were let in with. */
  readonly reserved: Readonly<Need>;
  /** What the first in line that no cap holds back waits for, when it is not a slot. */
  readonly shortOf: Resource | null;
  /** How many tasks with this label run now; 0 for a label without a cap. */
  running(label: string): number;
  /** Takes a place, or throws QUEUE_FULL with the seconds after which to try again. */
  reserve(entry?: GateEntry): Reservation;
  /** Takes a place even when the queue is full: for jobs that were let in before a restart. */
  admit(entry?: GateEntry): Reservation;
  /**
   * Lets nobody in until the function it gives is called: for entries that come one after the other and are to be served
   * by priority. What runs goes on.
   */
  hold(): () => void;
  snapshot(): GateSnapshot;
  /** Resolves when no place is held and nothing runs. */
  onIdle(): Promise<void>;
}
