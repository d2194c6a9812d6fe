import { randomUUID } from "node:crypto";
import type { Job, Worker } from "bullmq";
import { type JobData, jobData, type Place, type QueuedJob, type TakenJob } from "./contract.ts";
import type { Leases } from "./leases.ts";
import { ofEngine, ofSkill, type Permit, type Permits } from "./permits.ts";
import type { NamedQueue, QueueSet } from "./queue-set.ts";

export interface TakingParts {
  /** By the name of their queue; of the others nothing is taken. */
  workers: ReadonlyMap<string, Worker>;
  leases: Leases;
  permits: Permits;
  queues: QueueSet;
  /** The queue of this server alone. */
  own(engine: string): NamedQueue;
  add(job: QueuedJob, place: Place): Promise<void>;
  /** Told of each cap that has room again. */
  onRoom(cap: string): void;
  log: { warn(fields: object, message: string): void };
}

/** A job that this server holds, and may not be allowed to carry out. */
interface Leased extends Pick<TakenJob, "id" | "lost" | "done" | "later"> {
  /** Undefined when it is none of ours. */
  data: JobData | undefined;
  priority: number;
}

/** Milliseconds until a job is tried again that waits for this server alone, and for its skill's limit. */
const putBackMs = 1_000;

/**
 * Takes jobs within the limits of engines and skills. A limit is asked before the queue is: what is over it is left where it
 * lies, in its place.
 * @returns a function that takes the next job of an engine, or null
 */
export function createTaking(parts: TakingParts): (engine: string) => Promise<TakenJob | null> {
  const { workers, leases, permits, queues, own, add, onRoom, log } = parts;

  async function makeRoom(permit: Permit): Promise<void> {
    for (const cap of await permit.release()) onRoom(cap);
  }

  async function lease(name: string): Promise<Leased | null> {
    const worker = workers.get(name);
    if (worker === undefined) return null;
    const token = randomUUID();
    const askedAt = performance.now();
    const job: Job | undefined = await worker.getNextJob(token, { block: false });
    if (job?.id === undefined) return null;
    const { id } = job;
    const { lost, end } = leases.hold(worker, id, token, askedAt);
    const settle = async (how: () => Promise<unknown>) => {
      end();
      await how().catch((error: unknown) => {
        if (!lost.aborted) log.warn({ err: error, job: id }, "a job could not be given back to the queue");
      });
    };
    return {
      id,
      data: jobData.safeParse(job.data).data,
      priority: job.priority,
      lost,
      done: () => settle(() => job.moveToCompleted(null, token, false)),
      later: (ms: number) => settle(() => job.moveToDelayed(Date.now() + ms, token)),
    };
  }

  /** @param permit covers the queue's jobs, but for those of a skill with a limit that lie in a queue of all skills */
  async function takeFrom(queue: NamedQueue, engine: string, permit: Permit): Promise<TakenJob | null> {
    for (;;) {
      const job = await lease(queue.name);
      if (job === null) return null;
      const taken = await withinLimits(job, queue, engine, permit).catch(async (error: unknown) => {
        // Nobody else would let go of it.
        await job.later(putBackMs);
        throw error;
      });
      if (taken !== null) return taken;
    }
  }

  /** The job, if the limit of its skill has room for it; else null, and it waits on. */
  async function withinLimits(
    { id, data, priority, lost, done, later }: Leased,
    queue: NamedQueue,
    engine: string,
    permit: Permit,
  ): Promise<TakenJob | null> {
    if (data === undefined) await done();
    else if (await permit.covers(ofSkill(data.skill))) {
      const over = () => void makeRoom(permit);
      lost.addEventListener("abort", over, { once: true });
      if (lost.aborted) over();
      return {
        ...data,
        id,
        lost,
        done: () => done().then(over),
        later: (ms) => later(ms).then(over),
      };
    } else if (queue.name === own(engine).name) await later(putBackMs);
    else {
      // It came from a server that knows no such limit.
      await add({ ...data, priority }, { engine, node: null });
      await done();
    }
    return null;
  }

  async function takeCovered(engine: string, permit: Permit): Promise<TakenJob | null> {
    if (!(await permit.covers(ofEngine(engine)))) return null;
    const job = await takeFrom(own(engine), engine, permit);
    if (job !== null) return job;
    for (const queue of await queues.byFirstJob(await queues.shared(engine))) {
      const { skill } = queue;
      // One that is full is not asked: its jobs keep their places.
      if (skill !== null && !(await permit.covers(ofSkill(skill)))) continue;
      const taken = await takeFrom(queue, engine, permit);
      if (taken !== null) return taken;
      if (skill !== null) await permit.uncover(ofSkill(skill));
    }
    return null;
  }

  return async (engine) => {
    const permit = permits.begin();
    let job: TakenJob | null = null;
    try {
      job = await takeCovered(engine, permit);
      return job;
    } finally {
      if (job === null) await permit.release();
    }
  };
}
