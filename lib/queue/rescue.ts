import type { Redis } from "ioredis";
import { jobData, type Place, type QueuedJob } from "./contract.ts";
import type { Presence } from "./presence.ts";
import { nameAt, type QueueSet } from "./queue-set.ts";

export interface RescueParts {
  redis: Redis;
  presence: Presence;
  engines: readonly string[];
  queues: QueueSet;
  add(job: QueuedJob, place: Place): Promise<void>;
  complain(error: Error): void;
}

const states = ["active", "wait", "prioritized", "delayed"] as const;

/**
 * Offers jobs that wait for a server which is away to all others.
 * @returns a function to call from time to time, with the milliseconds that a server must be away for
 */
export function createRescue(parts: RescueParts): (node: string, awayMs: number) => Promise<void> {
  const { redis, presence, engines, queues, add, complain } = parts;
  /** Since when a server was seen to be away, by its queue, in milliseconds of this process. */
  const away = new Map<string, number>();

  /** @returns whether the server has nothing to do with this engine: it is not there, and nothing waits for it */
  async function rescueFrom(engine: string, lost: string, awayMs: number): Promise<boolean> {
    const queue = queues.get(nameAt(engine, lost));
    const counts = await queue.getJobCounts(...states);
    const isIdle = Object.values(counts).every((count) => count === 0);
    const isThere = await presence.isThere(engine, lost);
    if (isIdle || isThere) {
      away.delete(queue.name);
      return isIdle && !isThere;
    }
    const since = away.get(queue.name) ?? performance.now();
    away.set(queue.name, since);
    if (performance.now() - since < awayMs) return false;
    for (const job of await queue.getJobs([...states])) {
      // It is at work after all.
      if ((await redis.exists(queue.toKey(`${job.id}:lock`))) === 1) continue;
      const data = jobData.safeParse(job.data).data;
      if (data !== undefined && job.id !== undefined)
        await add(
          { ...data, insteadOf: data.insteadOf ?? job.id, priority: job.priority },
          { engine, node: null },
        );
      await job.remove().catch(complain);
    }
    return false;
  }

  return async (node, awayMs) => {
    let isGone = true;
    for (const engine of engines) isGone = (await rescueFrom(engine, node, awayMs)) && isGone;
    if (isGone) await presence.forget(node);
  };
}
