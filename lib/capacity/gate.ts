import pLimit from "p-limit";
import { RunnerError } from "../errors.ts";

export interface GateOptions {
  /** Most tasks at once; an integer of 1 or more. */
  limit: number;
  /** Most places that may be held without a slot. */
  maxQueueSize: number;
  /** A clock in ms that never goes back; default `performance.now`. */
  now?: () => number;
}

/** A place in the queue. It is held until `run` gets a slot or gives up, or until `release`. */
export interface Reservation {
  /**
   * Waits for a slot, then runs `task` and gives its result. Aborting `signal` while it waits gives the place up at
   * once and rejects with the signal's reason; once the task has begun, the signal is the task's own business.
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

/** Lets so many tasks run at once and so many more wait, first come first served. */
export interface Gate {
  /** Most tasks at once. Lowering it stops nothing that runs; raising it starts waiting tasks. */
  limit: number;
  /** Takes a place, or throws QUEUE_FULL with the seconds after which to try again. */
  reserve(): Reservation;
  /** Takes a place even when the queue is full: for jobs that were let in before a restart. */
  admit(): Reservation;
  snapshot(): GateSnapshot;
  /** Resolves when no place is held and nothing runs. */
  onIdle(): Promise<void>;
}

/** Weight of the newest run in the moving average of run times. */
const NEWEST_RUN_WEIGHT = 0.2;
/** What a run is thought to take, in ms, before one has finished. */
const UNKNOWN_RUN_MS = 30_000;
const MAX_RETRY_AFTER_SECONDS = 300;

/** Builds a gate over p-limit. */
export function createGate({ limit, maxQueueSize, now = () => performance.now() }: GateOptions): Gate {
  const slots = pLimit(limit);
  const waiting = new Set<() => Promise<void>>();
  let line = waiting.values();
  let idleListeners: (() => void)[] = [];
  let running = 0;
  let queued = 0;
  let tickets = 0;
  let averageRunMs: number | undefined;

  // p-limit cannot take an entry back, so what it queues is a ticket that serves whoever is first in line by then.
  async function serveNext(): Promise<void> {
    tickets -= 1;
    const first = firstInLine();
    if (first === undefined) return;
    waiting.delete(first);
    await first();
  }

  // The iterator sees entries added later, and does not walk over the deleted ones again as a fresh one would.
  function firstInLine(): (() => Promise<void>) | undefined {
    const next = line.next();
    if (!next.done) return next.value;
    line = waiting.values();
    return line.next().value;
  }

  function joinLine(entry: () => Promise<void>): void {
    waiting.add(entry);
    // A ticket left over from someone who gave up serves this entry as well.
    if (tickets >= waiting.size) return;
    tickets += 1;
    void slots(serveNext);
  }

  function leaveQueue(): void {
    queued -= 1;
    tellIdle();
  }

  async function occupySlot(work: () => Promise<void>): Promise<void> {
    queued -= 1;
    running += 1;
    const startedAt = now();
    await work();
    const tookMs = now() - startedAt;
    averageRunMs =
      averageRunMs === undefined ? tookMs : averageRunMs + NEWEST_RUN_WEIGHT * (tookMs - averageRunMs);
    running -= 1;
    tellIdle();
  }

  function tellIdle(): void {
    if (running + queued > 0) return;
    const listeners = idleListeners;
    idleListeners = [];
    for (const listener of listeners) listener();
  }

  function wait<T>(task: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const giveUp = () => {
        waiting.delete(entry);
        leaveQueue();
        reject(signal?.reason);
      };
      const entry = () => {
        signal?.removeEventListener("abort", giveUp);
        return occupySlot(async () => {
          try {
            resolve(await task());
          } catch (error) {
            reject(error);
          }
        });
      };
      if (signal?.aborted) return giveUp();
      signal?.addEventListener("abort", giveUp, { once: true });
      joinLine(entry);
    });
  }

  function admit(): Reservation {
    let held = true;
    queued += 1;
    return {
      async run(task, { signal } = {}) {
        if (!held) throw new Error("This reservation was already run or released.");
        held = false;
        return wait(task, signal);
      },
      release() {
        if (!held) return;
        held = false;
        leaveQueue();
      },
    };
  }

  function retryAfterSeconds(): number {
    const seconds = ((averageRunMs ?? UNKNOWN_RUN_MS) * queued) / slots.concurrency / 1000;
    return Math.min(MAX_RETRY_AFTER_SECONDS, Math.max(1, Math.ceil(seconds)));
  }

  return {
    get limit() {
      return slots.concurrency;
    },
    set limit(value) {
      slots.concurrency = value;
    },
    reserve() {
      if (queued >= maxQueueSize && running + queued >= slots.concurrency) {
        const seconds = retryAfterSeconds();
        throw new RunnerError(
          "QUEUE_FULL",
          `The job queue is full: ${queued} waiting, ${running} running. Try again in ${seconds} s.`,
          { retryAfterSeconds: seconds },
        );
      }
      return admit();
    },
    admit,
    snapshot: () => ({
      running,
      queued,
      max_concurrent: slots.concurrency,
      max_queue_size: maxQueueSize,
    }),
    onIdle: () =>
      running + queued === 0
        ? Promise.resolve()
        : new Promise((resolve) => {
            idleListeners.push(resolve);
          }),
  };
}
