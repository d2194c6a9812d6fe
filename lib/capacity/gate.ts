import pLimit from "p-limit";
import { RunnerError } from "../errors.ts";
import { addNeed, type Need, nothing, type Resource, shortOf, unlimited } from "./budget.ts";
import { createCaps } from "./caps.ts";
import {
  defaultPriority,
  type Gate,
  type GateEntry,
  type GateOptions,
  type Reservation,
} from "./gate-contract.ts";
import { createLine } from "./line.ts";
import { createRunTimes } from "./run-times.ts";

interface Entry extends Required<GateEntry> {
  work: () => Promise<void>;
}

/** Builds a gate over p-limit, which knows slots; order, caps and budget are the gate's own. */
export function createGate(options: GateOptions): Gate {
  const { limit, maxQueueSize, now = () => performance.now() } = options;
  const slots = pLimit(limit);
  const caps = createCaps(options.caps ?? new Map());
  const line = createLine<Entry>(caps.allow);
  const runTimes = createRunTimes();
  const reserved: Need = { ...nothing };
  let budget = options.budget ?? unlimited;
  let idleListeners: (() => void)[] = [];
  let running = 0;
  let queued = 0;
  let called = false;
  let holds = 0;
  let lacking: Resource | null = null;

  // p-limit cannot take an entry back, so what it queues is one ticket that serves whoever is first in line by then.
  function callNext(): void {
    if (called || holds > 0 || lacking !== null || line.first() === undefined) return;
    called = true;
    void slots(serveFirst);
  }

  function lookAgain(): void {
    lacking = null;
    callNext();
  }

  async function serveFirst(): Promise<void> {
    called = false;
    const first = holds > 0 ? undefined : line.first();
    if (first === undefined) return;
    const need = first.need();
    lacking = running === 0 ? null : shortOf(budget, reserved, need);
    // The slot goes back. `lookAgain` follows when a run ends, the budget changes, or somebody in line gives up.
    if (lacking !== null) return;
    line.leave(first);
    addNeed(reserved, need, 1);
    caps.note(first.labels, 1);
    queued -= 1;
    running += 1;
    callNext();
    const startedAt = now();
    await first.work();
    runTimes.note(now() - startedAt);
    addNeed(reserved, need, -1);
    caps.note(first.labels, -1);
    running -= 1;
    lookAgain();
    tellIdle();
  }

  function leaveQueue(): void {
    queued -= 1;
    tellIdle();
  }

  function tellIdle(): void {
    if (running + queued > 0) return;
    const listeners = idleListeners;
    idleListeners = [];
    for (const listener of listeners) listener();
  }

  function wait<T>(
    task: () => Promise<T>,
    ranked: Required<GateEntry>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const giveUp = () => {
        line.leave(entry);
        leaveQueue();
        // Who comes next may be lighter than this one.
        lookAgain();
        reject(signal?.reason);
      };
      const work = async () => {
        signal?.removeEventListener("abort", giveUp);
        try {
          resolve(await task());
        } catch (error) {
          reject(error);
        }
      };
      const entry: Entry = { ...ranked, work };
      if (signal?.aborted) return giveUp();
      signal?.addEventListener("abort", giveUp, { once: true });
      line.join(entry);
      // It may come before the one that waits for the budget, and be lighter.
      if (line.first() === entry) lookAgain();
    });
  }

  function admit({
    need = () => nothing,
    priority = defaultPriority,
    labels = [],
  }: GateEntry = {}): Reservation {
    const ranked = { need, priority, labels: caps.counted(labels) };
    let held = true;
    queued += 1;
    return {
      async run(task, { signal } = {}) {
        if (!held) throw new Error("This reservation was already run or released.");
        held = false;
        return wait(task, ranked, signal);
      },
      release() {
        if (!held) return;
        held = false;
        leaveQueue();
      },
    };
  }

  return {
    get limit() {
      return slots.concurrency;
    },
    set limit(value) {
      slots.concurrency = value;
    },
    get budget() {
      return budget;
    },
    set budget(value) {
      budget = value;
      lookAgain();
    },
    get reserved() {
      return reserved;
    },
    get shortOf() {
      return lacking;
    },
    running: caps.running,
    reserve(entry) {
      const nothingFree = lacking !== null || running + queued >= slots.concurrency;
      if (queued >= maxQueueSize && nothingFree) {
        const isHeldBack = lacking !== null || (line.size > 0 && line.first() === undefined);
        const atOnce = isHeldBack ? Math.max(1, running) : slots.concurrency;
        const seconds = runTimes.retryAfterSeconds(queued, atOnce);
        throw new RunnerError(
          "QUEUE_FULL",
          `The job queue is full: ${queued} waiting, ${running} running. Try again in ${seconds} s.`,
          { retryAfterSeconds: seconds },
        );
      }
      return admit(entry);
    },
    admit,
    hold() {
      let held = true;
      holds += 1;
      return () => {
        if (!held) return;
        held = false;
        holds -= 1;
        callNext();
      };
    },
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
