import { z } from "zod";

/** What the queue says of a run; everything else is in the storage. */
export const jobData = z.object({
  run: z.string(),
  /** Of the record that says `queued`: a job for an older one is of no use any more. */
  revision: z.int(),
  skill: z.string(),
  /** The job that this one stands for, as the server that it waited for is gone. */
  insteadOf: z.string().nullable(),
});
export type JobData = z.infer<typeof jobData>;

export interface QueuedJob extends JobData {
  /** 1 (first) to 10 (last). */
  priority: number;
}

/** Where a job waits: for any server that has the engine, or for one of them. */
export interface Place {
  engine: string;
  node: string | null;
}

/** How many of an engine, and of a skill, may be carried out at once, by all servers together. */
export interface QueueLimits {
  engines: ReadonlyMap<string, number>;
  skills: ReadonlyMap<string, number>;
}

/** A job that this server holds, as long as it says so to Redis often enough. */
export interface TakenJob extends JobData {
  id: string;
  /** Aborts when the lease is lost: another server may have the job by now. */
  lost: AbortSignal;
  /** The job is over for the queue. Never rejects: one that stays is given out again, and found to be over. */
  done(): Promise<void>;
  /** Gives it back, for after so many milliseconds. Never rejects. */
  later(ms: number): Promise<void>;
}

/** Jobs of several servers, in Redis, by BullMQ: one queue for each engine, and one for each engine of each server. */
export interface JobQueue {
  /** This server's name in the queue; the same after a restart. */
  node: string;
  /** Adds a job unless it is there already. */
  add(job: QueuedJob, place: Place): Promise<void>;
  /** Whether there is a job of this step of the run, in the queue of that server or in that of all. */
  has(job: QueuedJob, place: Place): Promise<boolean>;
  /** Whether anything may wait for this server with this engine. */
  hasWork(engine: string): Promise<boolean>;
  /**
   * The next job for this server with this engine, its own ones first; null when there is none that its engine's and its
   * skill's limits leave room for. Does not wait.
   */
  take(engine: string): Promise<TakenJob | null>;
  /** Takes part for these engines, and no others, from now on. */
  serve(engines: readonly string[]): Promise<void>;
  /** Whether any server takes jobs of this engine. */
  isServed(engine: string): Promise<boolean>;
  counts(): Promise<{ waiting: number; active: number }>;
  /** Offers jobs that have waited for a server which has been away for so many milliseconds to all others. */
  rescue(awayMs: number): Promise<void>;
  /** Calls back when a job was added for this engine, or a limit has room again that its jobs count towards. */
  onAdded(listener: (engine: string) => void): void;
  close(): Promise<void>;
}

/** What the id of a job ends with that stands for one of a server that is gone. */
export const anewSuffix = "-anew";

/** Whether an error says that a claim came too late (`FenceHeld`): by its name, as the queue's parts are built apart. */
export function isFenceHeld(error: unknown): boolean {
  return error instanceof Error && error.name === "FenceHeld";
}
