import type { Budget, Need, Resource } from "./budget.ts";

export interface GateOptions {
  /** Most tasks at once; an integer of 1 or more. */
  limit: number;
  /** What all running tasks together may need; default: as much as they like. */
  budget?: Budget;
  /** Most places that may be held without a slot. */
  maxQueueSize: number;
  /** A clock in ms that never goes back; default `performance.now`. */
  now?: () => number;
}

/** A place in the queue. It is held until `run` gets a slot or gives up, or until `release`. */
export interface Reservation {
  /**
   * Waits for a slot and for room in the budget, then runs `task` and gives its result. Aborting `signal` while it waits
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
 * Lets so many tasks run at once and so many more wait, strictly first come first served: what is first in line and too
 * heavy for what is left holds back everything behind it, so it cannot starve. With nothing running, any task may run.
 */
export interface Gate {
  /** Most tasks at once. Lowering it stops nothing that runs; raising it starts waiting tasks. */
  limit: number;
  /** What all running tasks together may need. Lowering it stops nothing that runs; raising it starts waiting tasks. */
  budget: Budget;
  /** What the tasks in slots were let in with. */
  readonly reserved: Readonly<Need>;
  /** What the first in line waits for, when it is not a slot. */
  readonly shortOf: Resource | null;
  /**
   * Takes a place, or throws QUEUE_FULL with the seconds after which to try again.
   * @param need asked when the place is first in line, and must not throw; default: nothing but a slot
   */
  reserve(need?: () => Need): Reservation;
  /** Takes a place even when the queue is full: for jobs that were let in before a restart. */
  admit(need?: () => Need): Reservation;
  snapshot(): GateSnapshot;
  /** Resolves when no place is held and nothing runs. */
  onIdle(): Promise<void>;
}
