import { type RedisPlace, readRedisUrl } from "../redis-url.ts";

/** Reads `redis://host:6379/0?prefix=name`. @throws Error whose message never holds the URL: it may hold a password */
export function parseQueueUrl(text: string): RedisPlace {
  if (!/^rediss?:/.test(text) || !URL.canParse(text))
    throw new Error('a job queue lies in Redis: use "redis://host:6379/0" or "rediss://..."');
  return readRedisUrl(text);
}
