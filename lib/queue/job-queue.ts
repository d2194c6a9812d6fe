import { randomUUID } from "node:crypto";
import { type Job, Queue, type Worker } from "bullmq";
import type { Redis } from "ioredis";
import {
  anewSuffix,
  type JobData,
  type JobQueue,
  jobData,
  type Place,
  type QueuedJob,
  type TakenJob,
} from "./contract.ts";
import { createLeases } from "./leases.ts";
import { createPresence } from "./presence.ts";
import { AskedWorker } from "./redis-worker.ts";
import { createRescue } from "./rescue.ts";

export interface JobQueueParts {
  /** For commands; `maxRetriesPerRequest` is null. */
  redis: Redis;
  subscriber: Redis;
  /** What every key begins with; in braces, for a cluster. */
  prefix: string;
  node: string;
  engines: readonly string[];
  /** Milliseconds after which a job whose server has fallen silent is given to another. */
  leaseMs: number;
  log: { warn(fields: object, message: string): void };
}

function jobIdOf({ run, revision, insteadOf }: Pick<JobData, "run" | "revision" | "insteadOf">): string {
  return `${run}-${revision}${insteadOf === null ? "" : anewSuffix}`;
}

/** BullMQ moves a job that stalled more often into its list of failures, where nobody looks. What a run may take, its record says. */
const anyNumber = 1_000_000;
const waitingStates = ["wait", "prioritized", "delayed"] as const;

export function createJobQueue(parts: JobQueueParts): JobQueue {
  const { redis, subscriber, prefix, node, engines, leaseMs, log } = parts;
  const options = { connection: redis, prefix };
  const queues = new Map<string, Queue>();
  const workers = new Map<string, Worker>();
  const leases = createLeases({ leaseMs, log });
  const presence = createPresence({ redis, prefix, node, leaseMs, log });
  const added = `${prefix}:added`;
  const nameOf = ({ engine, node: at }: Place) => (at === null ? engine : `${engine}~${at}`);
  const complain = (error: Error) => log.warn({ err: error }, "the job queue has trouble");
  const queueOf = (name: string): Queue => {
    const queue = queues.get(name) ?? new Queue(name, { ...options, skipMetasUpdate: true });
    if (!queues.has(name)) queue.on("error", complain);
    queues.set(name, queue);
    return queue;
  };
  const rescueFrom = createRescue({
    redis,
    presence,
    engines,
    queueFor: (place) => queueOf(nameOf(place)),
    add: placeJob,
    complain,
  });
  const ownQueues = (engine: string) => [nameOf({ engine, node }), nameOf({ engine, node: null })];

  async function placeJob(job: QueuedJob, place: Place): Promise<void> {
    const { priority, ...data } = job;
    const jobId = jobIdOf(job);
    const kept = { removeOnComplete: true, removeOnFail: true };
    if (place.node !== null) await presence.mention(place.node);
    await queueOf(nameOf(place)).add(place.engine, data, { jobId, priority, ...kept });
    await redis.publish(added, place.engine);
  }

  function open(name: string): Worker {
    const worker = new AskedWorker(name, null, {
      ...options,
      autorun: false,
      lockDuration: leaseMs,
      stalledInterval: Math.max(500, leaseMs / 2),
      maxStalledCount: anyNumber,
    });
    worker.on("error", complain);
    worker.startStalledCheckTimer().catch(complain);
    return worker;
  }

  async function takeFrom(name: string): Promise<TakenJob | null> {
    const worker = workers.get(name);
    if (worker === undefined) return null;
    const token = randomUUID();
    const askedAt = performance.now();
    const job: Job | undefined = await worker.getNextJob(token, { block: false });
    if (job?.id === undefined) return null;
    const lease = leases.hold(worker, job.id, token, askedAt);
    const settle = async (how: () => Promise<unknown>) => {
      lease.end();
      await how().catch((error: unknown) => {
        if (!lease.lost.aborted)
          log.warn({ err: error, job: job.id }, "a job could not be given back to the queue");
      });
    };
    const done = () => settle(() => job.moveToCompleted(null, token, false));
    const data = jobData.safeParse(job.data).data;
    if (data === undefined) {
      await done();
      return null;
    }
    return {
      ...data,
      id: job.id,
      lost: lease.lost,
      done,
      later: (ms) => settle(() => job.moveToDelayed(Date.now() + ms, token)),
    };
  }

  return {
    node,
    add: placeJob,
    async has(job, { engine, node: at }) {
      const id = jobIdOf({ ...job, insteadOf: null });
      const names = [nameOf({ engine, node: null }), ...(at === null ? [] : [nameOf({ engine, node: at })])];
      const found = await Promise.all(
        names.flatMap((name) => [id, `${id}${anewSuffix}`].map((jobId) => queueOf(name).getJob(jobId))),
      );
      return found.some((job) => job !== undefined);
    },
    async hasWork(engine) {
      const counts = await Promise.all(
        ownQueues(engine).map((name) => queueOf(name).getJobCounts(...waitingStates)),
      );
      return counts.some((each) => sumOf(each) > 0);
    },
    async take(engine) {
      for (const name of ownQueues(engine)) {
        const job = await takeFrom(name);
        if (job !== null) return job;
      }
      return null;
    },
    async serve(wanted) {
      const names = new Set(wanted.flatMap(ownQueues));
      for (const name of names) if (!workers.has(name)) workers.set(name, open(name));
      for (const [name, worker] of workers) {
        // Its jobs in hand are held on to by their leases, which need it.
        if (names.has(name) || leases.isBusy(worker)) continue;
        workers.delete(name);
        await worker.close();
      }
      await presence.serve(wanted);
    },
    isServed: presence.isServed,
    async active() {
      const names = await everyQueue();
      const jobs = await Promise.all(
        names.map(async ({ engine, name }) =>
          (await queueOf(name).getActive()).map((job) => ({
            id: job.id ?? "",
            engine,
            skill: jobData.safeParse(job.data).data?.skill ?? "",
          })),
        ),
      );
      return jobs.flat();
    },
    async counts() {
      const counts = await Promise.all(
        (await everyQueue()).map(({ name }) => queueOf(name).getJobCounts("active", ...waitingStates)),
      );
      let waiting = 0;
      let active = 0;
      for (const { active: running = 0, ...others } of counts) {
        active += running;
        waiting += sumOf(others);
      }
      return { waiting, active };
    },
    async rescue(awayMs) {
      for (const other of await presence.nodes()) if (other !== node) await rescueFrom(other, awayMs);
    },
    onAdded(listener) {
      subscriber.on("message", (channel: string, engine: string) => channel === added && listener(engine));
      const subscribe = () => subscriber.subscribe(added).catch(complain);
      subscriber.on("ready", subscribe);
      void subscribe();
    },
    async close() {
      leases.close();
      await presence.close();
      await Promise.all([...workers.values()].map((worker) => worker.close(true).catch(complain)));
      await Promise.all([...queues.values()].map((queue) => queue.close().catch(complain)));
    },
  };

  async function everyQueue(): Promise<{ engine: string; name: string }[]> {
    const nodes = [null, ...(await presence.nodes())];
    return engines.flatMap((engine) => nodes.map((at) => ({ engine, name: nameOf({ engine, node: at }) })));
  }
}

function sumOf(counts: Record<string, number>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}
