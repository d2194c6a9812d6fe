import { Redis, type RedisOptions } from "ioredis";

/** A connection as a server has it: it comes back by itself, and commands wait for it. */
export function redisConnection(url: string, options: RedisOptions = {}): Redis {
  const redis = new Redis(url, { lazyConnect: true, maxRetriesPerRequest: null, ...options });
  // Without a listener ioredis prints that there is no connection.
  redis.on("error", () => undefined);
  return redis;
}
