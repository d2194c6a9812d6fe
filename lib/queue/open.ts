import type { JobQueue, QueueLimits } from "./contract.ts";
import type { LiveLog } from "./live-log.ts";
import type { RunChannel } from "./run-channel.ts";

export interface QueueOptions {
  /** `redis://` or `rediss://`, as ioredis takes it. */
  url: string;
  /** What every key begins with. */
  prefix: string;
  /** This server's name in the queue. */
  node: string;
  engines: readonly string[];
  limits: QueueLimits;
  /** Milliseconds after which a job whose server has fallen silent is given to another. */
  leaseMs: number;
  log: { warn(fields: object, message: string): void };
}

/** What several servers share beside the storage. */
export interface OpenQueue {
  queue: JobQueue;
  channel: RunChannel;
  live: LiveLog;
  close(): Promise<void>;
}

/** Connects to the queue; its parts are loaded by servers that have one alone. @throws Error that says why it does not answer */
export async function openQueue(options: QueueOptions): Promise<OpenQueue> {
  const { connectQueue } = await import("./open-queue.ts");
  return connectQueue(options);
}
