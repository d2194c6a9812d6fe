import { setTimeout as sleep } from "node:timers/promises";
import type { Reservation } from "../capacity/index.ts";
import { RunnerError } from "../errors.ts";
import type { JobQueue } from "../queue/index.ts";
import type { RunContext } from "./context.ts";

/** Milliseconds that a caller who sends a job waits for Redis. */
const askPatienceMs = 5_000;
/** Milliseconds for which it is believed that others serve an engine. */
const servedGoodMs = 1_000;
/** Milliseconds for which a count of the queue is good enough to refuse or let in jobs. */
const countGoodMs = 200;

/**
 * Lets jobs into a queue that several servers share.
 * @param maxQueueSize jobs that may wait, for all servers together
 * @returns a function that throws RunnerError ENGINE_NOT_INSTALLED (at no server), SANDBOX_REQUIRED, QUEUE_FULL, STORAGE_FAILED
 */
export function createQueueAdmission(
  context: Pick<RunContext, "engines">,
  queue: JobQueue,
  maxQueueSize: number,
): (engine: string) => Promise<Reservation> {
  /** When other servers were last seen to take jobs of an engine. */
  const servedAt = new Map<string, number>();
  let counted = { at: Number.NEGATIVE_INFINITY, counts: Promise.resolve({ waiting: 0, active: 0 }) };

  return async (engine) => {
    await context.engines.installed(engine, { maxAgeMs: 1_000 }).catch(async (error: unknown) => {
      const isRecent = performance.now() - (servedAt.get(engine) ?? Number.NEGATIVE_INFINITY) < servedGoodMs;
      if (isRecent) return;
      if (!(await answered(queue.isServed(engine)))) throw error;
      servedAt.set(engine, performance.now());
    });
    await context.engines.assertSandboxed();
    const now = performance.now();
    if (now - counted.at > countGoodMs) counted = { at: now, counts: queue.counts() };
    const { waiting } = await answered(counted.counts);
    if (waiting >= maxQueueSize) {
      const message = `The job queue is full: ${waiting} waiting. Try again in a while.`;
      throw new RunnerError("QUEUE_FULL", message, { retryAfterSeconds: 10 });
    }
    return { run: () => Promise.reject(new Error("a queued run is not run by its caller")), release() {} };
  };
}

/** @throws RunnerError STORAGE_FAILED when Redis does not answer in time, or refuses */
async function answered<T>(question: Promise<T>): Promise<T> {
  const late = sleep(askPatienceMs, undefined, { ref: false }).then(() => {
    throw new Error("it does not answer");
  });
  return Promise.race([question, late]).catch((cause: unknown) => {
    const message = "The job queue does not answer. Try again in a moment.";
    throw new RunnerError("STORAGE_FAILED", message, { retryAfterSeconds: 5, cause });
  });
}
