import type { Worker } from "bullmq";
import type { Redis } from "ioredis";
import {
  anewSuffix,
  type JobData,
  type JobQueue,
  type Place,
  type QueuedJob,
  type QueueLimits,
} from "./contract.ts";
import { createLeases } from "./leases.ts";
import { capsOf, createPermits, ofEngine } from "./permits.ts";
import { createPresence } from "./presence.ts";
import { createQueueSet, type NamedQueue, nameAt } from "./queue-set.ts";
import { AskedWorker } from "./redis-worker.ts";
import { createRescue } from "./rescue.ts";
import { createTaking } from "./taking.ts";

export interface JobQueueParts {
  /** For commands; `maxRetriesPerRequest` is null. */
  redis: Redis;
  subscriber: Redis;
  /** What every key begins with; in braces, for a cluster. */
  prefix: string;
  node: string;
  engines: readonly string[];
  limits: QueueLimits;
  /** Milliseconds after which a job whose server has fallen silent is given to another. */
  leaseMs: number;
  log: { warn(fields: object, message: string): void };
}

function jobIdOf({ run, revision, insteadOf }: Pick<JobData, "run" | "revision" | "insteadOf">): string {
  return `${run}-${revision}${insteadOf === null ? "" : anewSuffix}`;
}

/** What is published when a skill's limit has room again: its jobs may be any engine's. */
const anyEngine = "*";

/** BullMQ moves a job that stalled more often into its list of failures, where nobody looks. What a run may take, its record says. */
const anyNumber = 1_000_000;
const waitingStates = ["wait", "prioritized", "delayed"] as const;

export function createJobQueue(parts: JobQueueParts): JobQueue {
  const { redis, subscriber, prefix, node, engines, limits, leaseMs, log } = parts;
  const complain = (error: Error) => log.warn({ err: error }, "the job queue has trouble");
  const workers = new Map<string, Worker>();
  const leases = createLeases({ leaseMs, log });
  const presence = createPresence({ redis, prefix, node, leaseMs, log });
  const queues = createQueueSet({ redis, prefix, limits, complain });
  const permits = createPermits({ redis, prefix, caps: capsOf(limits), leaseMs, log });
  const added = `${prefix}:added`;
  const own = (engine: string): NamedQueue => ({ name: nameAt(engine, node), skill: null });
  const take = createTaking({
    workers,
    leases,
    permits,
    queues,
    own,
    add: placeJob,
    // Others may wait for that alone.
    onRoom(cap) {
      const engine = engines.find((id) => ofEngine(id) === cap) ?? anyEngine;
      redis.publish(added, engine).catch(() => undefined);
    },
    log,
  });
  const rescueFrom = createRescue({ redis, presence, engines, queues, add: placeJob, complain });

  async function placeJob(job: QueuedJob, place: Place): Promise<void> {
    const { priority, ...data } = job;
    const jobId = jobIdOf(job);
    const kept = { removeOnComplete: true, removeOnFail: true };
    if (place.node === null) await queues.mention(job.skill);
    else await presence.mention(place.node);
    const name = queues.nameOf(place, job.skill);
    await queues.get(name).add(place.engine, data, { jobId, priority, ...kept });
    await redis.publish(added, place.engine);
  }

  function open(name: string): Worker {
    const worker = new AskedWorker(name, null, {
      connection: redis,
      prefix,
      autorun: false,
      // It prints to the console what `checkRedis` has said.
      skipVersionCheck: true,
      lockDuration: leaseMs,
      stalledInterval: Math.max(500, leaseMs / 2),
      maxStalledCount: anyNumber,
    });
    worker.on("error", complain);
    worker.startStalledCheckTimer().catch(complain);
    return worker;
  }

  async function everyQueue(): Promise<string[]> {
    const nodes = await presence.nodes();
    const names = engines.map(async (engine) => [
      ...(await queues.shared(engine)).map(({ name }) => name),
      ...nodes.map((at) => nameAt(engine, at)),
    ]);
    return (await Promise.all(names)).flat();
  }

  return {
    node,
    add: placeJob,
    async has(job, { engine, node: at }) {
      const id = jobIdOf({ ...job, insteadOf: null });
      const names = (await queues.shared(engine))
        .filter(({ skill }) => skill === null || skill === job.skill)
        .map(({ name }) => name);
      if (at !== null) names.push(nameAt(engine, at));
      const found = await Promise.all(
        names.flatMap((name) => [id, `${id}${anewSuffix}`].map((jobId) => queues.holds(name, jobId))),
      );
      return found.includes(true);
    },
    async hasWork(engine) {
      const counts = await Promise.all(
        [own(engine), ...(await queues.shared(engine))].map(({ name }) =>
          queues.get(name).getJobCounts(...waitingStates),
        ),
      );
      return counts.some((each) => sumOf(each) > 0);
    },
    take,
    async serve(wanted) {
      const shared = await Promise.all(wanted.map((engine) => queues.shared(engine)));
      const names = new Set([...wanted.map(own), ...shared.flat()].map(({ name }) => name));
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
    async counts() {
      const counts = await Promise.all(
        (await everyQueue()).map((name) => queues.get(name).getJobCounts("active", ...waitingStates)),
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
      subscriber.on("message", (channel: string, engine: string) => {
        if (channel !== added) return;
        for (const each of engine === anyEngine ? engines : [engine]) listener(each);
      });
      const subscribe = () => subscriber.subscribe(added).catch(complain);
      subscriber.on("ready", subscribe);
      void subscribe();
    },
    async close() {
      leases.close();
      permits.close();
      await presence.close();
      await Promise.all([...workers.values()].map((worker) => worker.close(true).catch(complain)));
      await queues.close();
    },
  };
}

function sumOf(counts: Record<string, number>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}
