import { randomUUID } from "node:crypto";
import type { Redis, Result } from "ioredis";
import type { QueueLimits } from "./contract.ts";
import { keepRenewing } from "./renewal.ts";

declare module "ioredis" {
  interface RedisCommander<Context> {
    takePermit(key: string, holder: string, leaseMs: number, most: number): Result<number, Context>;
  }
}

/** What jobs of an engine, or of a skill, count towards. */
export const ofEngine = (engine: string) => `engine:${engine}`;
export const ofSkill = (skill: string) => `skill:${skill}`;

/** The most for each cap. */
export function capsOf({ engines, skills }: QueueLimits): ReadonlyMap<string, number> {
  return new Map([
    ...[...engines].map(([engine, most]) => [ofEngine(engine), most] as const),
    ...[...skills].map(([skill, most]) => [ofSkill(skill), most] as const),
  ]);
}

/**
 * Adds a holder, or renews it, unless as many others are there whose time is not over. KEYS: the cap's holders. ARGV: the
 * holder, its time in ms, the most that there may be. By the clock of Redis alone.
 */
const take = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2] * 2)
return 1`;

/** More than any cap allows: what is held already is renewed, also when Redis has lost it. */
const any = 1_000_000_000;

/** What one job holds of the caps that it counts towards. */
export interface Permit {
  /** @returns whether the job may count towards this cap, too: one that has room, or none at all */
  covers(cap: string): Promise<boolean>;
  /** The job does not count towards this cap after all. */
  uncover(cap: string): Promise<void>;
  /** Gives all of it back. Never rejects: what Redis does not hear of, it lets expire. @returns the caps that have room now */
  release(): Promise<string[]>;
}

/** How many jobs may be carried out at once, by all servers together. */
export interface Permits {
  /** One that holds nothing yet. */
  begin(): Permit;
  close(): void;
}

/**
 * @param parts.caps the most for each cap; one that is not named has none
 * @param parts.leaseMs how long a server that has fallen silent is counted, in ms: as long as the jobs are its own
 */
export function createPermits(parts: {
  redis: Redis;
  prefix: string;
  caps: ReadonlyMap<string, number>;
  leaseMs: number;
  log: { warn(fields: object, message: string): void };
}): Permits {
  const { redis, prefix, caps, leaseMs, log } = parts;
  redis.defineCommand("takePermit", { numberOfKeys: 1, lua: take });
  const keyOf = (cap: string) => `${prefix}:permits:${cap}`;
  const held = new Map<string, Set<string>>();

  async function renewAll(): Promise<void> {
    const all = [...held].flatMap(([holder, its]) => [...its].map((cap) => ({ holder, cap })));
    await Promise.all(all.map(({ holder, cap }) => redis.takePermit(keyOf(cap), holder, leaseMs, any)));
  }

  const stopRenewing = keepRenewing(renewAll, leaseMs, (error) =>
    log.warn({ err: error }, "limits of jobs could not be renewed; trying again"),
  );

  return {
    begin() {
      const holder = randomUUID();
      const its = new Set<string>();
      return {
        async covers(cap) {
          const most = caps.get(cap);
          if (most === undefined || its.has(cap)) return true;
          if ((await redis.takePermit(keyOf(cap), holder, leaseMs, most)) === 0) return false;
          its.add(cap);
          held.set(holder, its);
          return true;
        },
        async uncover(cap) {
          if (its.delete(cap)) await redis.zrem(keyOf(cap), holder);
        },
        async release() {
          const had = [...its];
          its.clear();
          held.delete(holder);
          await Promise.all(had.map((cap) => redis.zrem(keyOf(cap), holder))).catch(() => undefined);
          return had;
        },
      };
    },
    close: stopRenewing,
  };
}
