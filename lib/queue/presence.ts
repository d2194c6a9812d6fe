import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import { keepRenewing } from "./renewal.ts";

/** Milliseconds that Redis gets to take a server's leave. */
const closeMs = 1_000;

/** Which servers take jobs, and of which engines. */
export interface Presence {
  /** Says that this server takes jobs of these engines, and no others, from now on: again and again, until it is closed. */
  serve(engines: readonly string[]): Promise<void>;
  /** Says that there may be jobs for that server alone. */
  mention(node: string): Promise<void>;
  /** Servers that take jobs, or for which some may wait. */
  nodes(): Promise<string[]>;
  /** Whether that server has said of late that it takes jobs of this engine. */
  isThere(engine: string, node: string): Promise<boolean>;
  /** Whether any server has. */
  isServed(engine: string): Promise<boolean>;
  /** Nothing waits for that server any more; it says so itself when it is there again. */
  forget(node: string): Promise<void>;
  close(): Promise<void>;
}

/**
 * By keys that Redis lets expire: a server that hangs, or whose machine lost its power, does not renew its own, while its
 * connections may stay open for hours.
 * @param parts.leaseMs a server is away when it has said nothing for twice as long, in ms
 */
export function createPresence(parts: {
  redis: Redis;
  prefix: string;
  node: string;
  leaseMs: number;
  log: { warn(fields: object, message: string): void };
}): Presence {
  const { redis, prefix, node, leaseMs, log } = parts;
  const nodesKey = `${prefix}:nodes`;
  const keyOf = (engine: string, at: string) => `${prefix}:serves:${engine}:${at}`;
  let served: readonly string[] = [];

  async function tell(): Promise<void> {
    if (served.length === 0) return;
    // Each time: Redis may have lost it.
    await redis.sadd(nodesKey, node);
    await Promise.all(served.map((engine) => redis.set(keyOf(engine, node), "1", "PX", leaseMs * 2)));
  }

  const stopTelling = keepRenewing(tell, leaseMs, (error) =>
    log.warn({ err: error }, "Redis is not told that this server is there"),
  );

  return {
    async serve(engines) {
      const left = served.filter((engine) => !engines.includes(engine));
      const isNews = left.length > 0 || engines.length !== served.length;
      served = [...engines];
      if (left.length > 0) await redis.del(left.map((engine) => keyOf(engine, node)));
      if (isNews) await tell();
    },
    async mention(at) {
      await redis.sadd(nodesKey, at);
    },
    nodes: () => redis.smembers(nodesKey),
    isThere: async (engine, at) => (await redis.exists(keyOf(engine, at))) === 1,
    async isServed(engine) {
      const nodes = await redis.smembers(nodesKey);
      return nodes.length > 0 && (await redis.exists(nodes.map((at) => keyOf(engine, at)))) > 0;
    },
    async forget(at) {
      await redis.srem(nodesKey, at);
    },
    async close() {
      stopTelling();
      const left = served;
      served = [];
      // What Redis does not hear of now, it lets expire.
      if (left.length === 0 || redis.status !== "ready") return;
      const taken = redis.del(left.map((engine) => keyOf(engine, node))).catch(() => undefined);
      await Promise.race([taken, sleep(closeMs, undefined, { ref: false })]);
    },
  };
}
