import type { Reservation } from "../capacity/index.ts";
import type { JobQueue, TakenJob } from "../queue/index.ts";

export interface QueueIntakeParts {
  queue: Pick<JobQueue, "hasWork" | "take">;
  /** A place in the line for a slot. */
  admit(engine: string): Reservation;
  /** Carries a job out, in its slot. Never rejects. */
  handle(job: TakenJob): Promise<void>;
  /** Nothing is taken any more once it aborts. */
  signal: AbortSignal;
  log: { warn(fields: object, message: string): void };
}

/**
 * Takes as many jobs of an engine as there are slots for; one that waits for its slot is nobody's yet.
 * @returns a function to call whenever a queue may have something. Called again while it looks at that queue, it looks once
 * more: a job that came behind the last look would wait for the next call otherwise. It never rejects.
 */
export function createQueueIntake({ queue, admit, handle, signal, log }: QueueIntakeParts) {
  /** Engines whose queue is being emptied into the gate, and whether somebody called meanwhile. */
  const serving = new Map<string, { again: boolean }>();

  /** Resolves when there was a slot: with whether a job was found for it. The job goes on by itself. */
  function inSlot(engine: string): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const carryOut = async () => {
        const job = signal.aborted ? null : await queue.take(engine);
        resolve(job !== null);
        if (job !== null) await handle(job);
      };
      admit(engine).run(carryOut, { signal }).catch(reject);
    });
  }

  return async function serve(engine: string): Promise<void> {
    if (signal.aborted) return;
    const present = serving.get(engine);
    if (present !== undefined) {
      present.again = true;
      return;
    }
    const look = { again: true };
    serving.set(engine, look);
    try {
      while (look.again && !signal.aborted) {
        look.again = false;
        while (!signal.aborted && (await queue.hasWork(engine)) && (await inSlot(engine)));
      }
    } catch (error) {
      if (!signal.aborted) log.warn({ err: error, engine }, "the queue could not be looked at; trying again");
    } finally {
      serving.delete(engine);
    }
  };
}
