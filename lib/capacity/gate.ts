import pLimit from "p-limit";
import { RunnerError } from "../errors.ts";
import { addNeed, type Need, nothing, type Resource, shortOf, unlimited } from "./budget.ts";
import type { Gate, GateOptions, Reservation } from "./gate-contract.ts";
import { createLine } from "./line.ts";
import { createRunTimes } from "./run-times.ts";

interface Entry {
  need: () => Need;
  work: () => Promise<void>;
}

/** Builds a gate over p-limit, which knows slots; the budget is the gate's own. */
export function createGate(options: GateOptions): Gate {
  const { limit, maxQueueSize, now = () => performance.now() } = options;
  const slots = pLimit(limit);
  const line = createLine<Entry>();
  const runTimes = createRunTimes();
  const reserved: Need = { ...nothing };
  let budget = options.budget ?? unlimited;
  let idleListeners: (() => void)[] = [];
  let running = 0;
  let queued = 0;
  let called = false;
  let lacking: Resource | null = null;

  // p-limit cannot take an entry back, so what it queues is one ticket that serves whoever is first in line by then.
  function callNext(): void {
    if (called || lacking !== null || line.size === 0) return;
    called = true;
    void slots(serveFirst);
  }

  function lookAgain(): void {
    lacking = null;
    callNext();
  }

  async function serveFirst(): Promise<void> {
    called = false;
    const first = line.first();
    if (first === undefined) return;
    const need = first.need();
    lacking = running === 0 ? null : shortOf(budget, reserved, need);
    // The slot goes back. `lookAgain` follows when a run ends, the budget changes, or somebody in line gives up.
    if (lacking !== null) return;
    line.leave(first);
    addNeed(reserved, need, 1);
    queued -= 1;
    running += 1;
    callNext();
    const startedAt = now();
    await first.work();
    runTimes.note(now() - startedAt);
    addNeed(reserved, need, -1);
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

  function wait<T>(task: () => Promise<T>, need: () => Need, signal: AbortSignal | undefined): Promise<T> {
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
      const entry = { need, work };
      if (signal?.aborted) return giveUp();
      signal?.addEventListener("abort", giveUp, { once: true });
      line.join(entry);
      callNext();
    });
  }

  function admit(need: () => Need = () => nothing): Reservation {
    let held = true;
    queued += 1;
    return {
      async run(task, { signal } = {}) {
        if (!held) throw new Error("This reservation was already run or released.");
        held = false;
        return wait(task, need, signal);
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
    reserve(need) {
      const nothingFree = lacking !== null || running + queued >= slots.concurrency;
      if (queued >= maxQueueSize && nothingFree) {
        const atOnce = lacking === null ? slots.concurrency : running;
        const seconds = runTimes.retryAfterSeconds(queued, atOnce);
        throw new RunnerError(
          "QUEUE_FULL",
          `The job queue is full: ${queued} waiting, ${running} running. Try again in ${seconds} s.`,
          { retryAfterSeconds: seconds },
        );
      }
      return admit(need);
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
