import { Redis } from "ioredis";
import { enterDatabase } from "../redis-url.ts";
import { createJobQueue } from "./job-queue.ts";
import { createLiveLog } from "./live-log.ts";
import type { OpenQueue, QueueOptions } from "./open.ts";
import { createRunChannel } from "./run-channel.ts";

const connectTimeoutMs = 10_000;
/** Milliseconds after which a silent connection is asked whether it still is one. */
const keepAliveMs = 10_000;

/** Connects to Redis. @throws Error that says why it does not answer */
export async function connectQueue({
  url,
  prefix,
  node,
  engines,
  limits,
  leaseMs,
  log,
}: QueueOptions): Promise<OpenQueue> {
  const options = {
    lazyConnect: true,
    connectTimeout: connectTimeoutMs,
    // BullMQ wants commands to wait for the connection, however long it takes.
    maxRetriesPerRequest: null,
    keepAlive: keepAliveMs,
  };
  const redis = new Redis(url, options);
  // What is listened to is subscribed to again by who listens: ioredis would not say that it was refused.
  const subscriber = new Redis(url, { ...options, autoResubscribe: false });
  let lost: unknown;
  for (const client of [redis, subscriber])
    client.on("error", (error: unknown) => {
      lost = error;
    });
  const refused = (verdict: string, reason: unknown) => {
    for (const client of [redis, subscriber]) client.disconnect();
    const words = reason instanceof Error ? reason.message : String(reason);
    return new Error(`The storage of the job queue (SKILL_RUNNER_QUEUE_URL) ${verdict}: ${words}`, {
      cause: reason,
    });
  };
  await Promise.all([redis.connect(), subscriber.connect()]).catch((error: unknown) => {
    throw refused("does not answer", lost ?? error);
  });
  await enterDatabase(redis).catch((error: unknown) => {
    throw refused("cannot be used", error);
  });
  // In braces, so that a cluster keeps all of it in one slot.
  const base = `{${prefix}}:queue`;
  const queue = createJobQueue({ redis, subscriber, prefix: base, node, engines, limits, leaseMs, log });
  const channel = createRunChannel({ publisher: redis, subscriber, prefix: `${base}:`, log });
  const live = createLiveLog({
    redis,
    prefix: `${base}:`,
    log,
    onSent: (runId) => channel.tell(runId, "events"),
  });
  return {
    queue,
    channel,
    live,
    async close() {
      await queue.close();
      await Promise.all([channel.close(), live.close()]);
      for (const client of [redis, subscriber]) client.disconnect();
    },
  };
}
