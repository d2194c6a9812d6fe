import { Redis } from "ioredis";
import { enterDatabase } from "../redis-url.ts";
import { checkRedis } from "./check-redis.ts";
import { createJobQueue } from "./job-queue.ts";
import { createLiveLog } from "./live-log.ts";
import type { OpenQueue, QueueOptions } from "./open.ts";
import { createRunChannel } from "./run-channel.ts";

const connectTimeoutMs = 10_000;
/** Milliseconds after which a silent connection is asked whether it still is one. */
const keepAliveMs = 10_000;

/** Milliseconds between two connections that are given up because they lead to a replica. */
const reconnectMs = 1_000;

/** Connects to Redis. @throws Error that says why it does not answer, or cannot hold a queue, and what to do */
export async function connectQueue({
  url,
  prefix,
  node,
  engines,
  limits,
  leaseMs,
  log,
}: QueueOptions): Promise<OpenQueue> {
  let isChecked = false;
  let reconnectedAt = Number.NEGATIVE_INFINITY;
  const options = {
    lazyConnect: true,
    connectTimeout: connectTimeoutMs,
    // BullMQ wants commands to wait for the connection, however long it takes.
    maxRetriesPerRequest: null,
    keepAlive: keepAliveMs,
    // A primary that has become a replica keeps its connections: a new one leads to the new primary.
    reconnectOnError({ message }: Error) {
      const now = performance.now();
      if (!(isChecked && /\bREADONLY\b/.test(message)) || now - reconnectedAt < reconnectMs) return false;
      reconnectedAt = now;
      return 1;
    },
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
  // In braces, for what stands before several Redis and sorts keys by them.
  const base = `{${prefix}}:queue`;
  try {
    const advice = await checkRedis(redis, base);
    if (advice !== null) log.warn({}, advice);
    isChecked = true;
  } catch (error) {
    for (const client of [redis, subscriber]) client.disconnect();
    throw error;
  }
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
