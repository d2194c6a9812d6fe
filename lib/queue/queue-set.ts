import { type Job, Queue } from "bullmq";
import type { Redis } from "ioredis";
import type { Place, QueueLimits } from "./contract.ts";

/** One of BullMQ's queues. */
export interface NamedQueue {
  name: string;
  /** The one skill whose jobs it holds, as that has a limit; null: those of all others. */
  skill: string | null;
}

/** The queues of all engines: one for any server, one for each skill with a limit, and one for each server alone. */
export interface QueueSet {
  /** Where a job of this skill waits. */
  nameOf(place: Place, skill: string): string;
  get(name: string): Queue;
  /** Whether there is a job. What Redis has lost a half of is removed, so that it can be added anew. */
  holds(name: string, jobId: string): Promise<boolean>;
  /** Says that there may be jobs in the queue of that skill, whatever limits other servers know. */
  mention(skill: string): Promise<void>;
  /** Those of an engine whose jobs any server may take. */
  shared(engine: string): Promise<NamedQueue[]>;
  /** The same, by the job that is first in each: by priority, then by age. */
  byFirstJob(queues: readonly NamedQueue[]): Promise<readonly NamedQueue[]>;
  close(): Promise<void>;
}

/** Where a job waits for one server alone. */
export function nameAt(engine: string, node: string): string {
  return `${engine}~${node}`;
}

export function createQueueSet(parts: {
  redis: Redis;
  prefix: string;
  limits: QueueLimits;
  complain(error: Error): void;
}): QueueSet {
  const { redis, prefix, limits, complain } = parts;
  const skillsKey = `${prefix}:skills`;
  const opened = new Map<string, Queue>();
  const get = (name: string): Queue => {
    const known = opened.get(name);
    if (known !== undefined) return known;
    const queue = new Queue(name, {
      connection: redis,
      prefix,
      skipMetasUpdate: true,
      skipVersionCheck: true,
    });
    queue.on("error", complain);
    opened.set(name, queue);
    return queue;
  };
  const nameOfShared = (engine: string, skill: string | null) =>
    skill === null ? engine : `${engine}+${skill}`;

  async function firstOf(queue: NamedQueue): Promise<{ queue: NamedQueue; job: Job | undefined }> {
    const [waiting, prioritized] = await Promise.all(
      (["wait", "prioritized"] as const).map((state) => get(queue.name).getJobs([state], 0, 0, true)),
    );
    return { queue, job: waiting?.[0] ?? prioritized?.[0] };
  }

  return {
    nameOf: ({ engine, node }, skill) =>
      node === null ? nameOfShared(engine, limits.skills.has(skill) ? skill : null) : nameAt(engine, node),
    get,
    async holds(name, jobId) {
      const queue = get(name);
      const job = await queue.getJob(jobId);
      if (job === undefined) return false;
      const state = await queue.getJobState(jobId);
      // Of a job in hand, the lock is enough.
      if (state !== "unknown" || (await redis.exists(queue.toKey(`${jobId}:lock`))) === 1) return true;
      // Whoever was faster has added it anew, and it is taken: then it stays.
      return job.remove().then(
        () => false,
        () => true,
      );
    },
    async mention(skill) {
      if (limits.skills.has(skill)) await redis.sadd(skillsKey, skill);
    },
    async shared(engine) {
      const skills = new Set([...limits.skills.keys(), ...(await redis.smembers(skillsKey))]);
      return [null, ...skills].map((skill) => ({ name: nameOfShared(engine, skill), skill }));
    },
    async byFirstJob(queues) {
      if (queues.length < 2) return queues;
      const firsts = await Promise.all(queues.map(firstOf));
      const rank = (job: Job | undefined) => job?.priority ?? Number.POSITIVE_INFINITY;
      return firsts
        .sort(
          (a, b) =>
            Number(rank(a.job) > rank(b.job)) - Number(rank(a.job) < rank(b.job)) ||
            (a.job?.timestamp ?? 0) - (b.job?.timestamp ?? 0),
        )
        .map(({ queue }) => queue);
    },
    async close() {
      await Promise.all([...opened.values()].map((queue) => queue.close().catch(complain)));
    },
  };
}
