import type { Redis, Result } from "ioredis";
import { z } from "zod";

declare module "ioredis" {
  interface RedisCommander<Context> {
    liveLogAppend(stream: string, fence: string, ...given: (string | number)[]): Result<unknown, Context>;
    liveLogAfter(stream: string, seq: number, maxBytes: number): Result<unknown, Context>;
    liveLogEnd(stream: string, fence: string, ...given: (string | number)[]): Result<unknown, Context>;
  }
}

/**
 * Raises the fence, and adds lines. KEYS: stream, fence. ARGV: fence, ms that both are kept; then number and text of each
 * line. Returns how many lines were refused as another has their number, or -1 when a greater fence holds. A line that is
 * there already, word for word, was sent twice: that is no refusal.
 */
const append = `
local held = redis.call('GET', KEYS[2])
if held and tonumber(held) > tonumber(ARGV[1]) then return -1 end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local last = newest and tonumber(string.match(newest[1], '^%d+')) or 0
local refused = 0
for i = 3, #ARGV, 2 do
  local id = ARGV[i] .. '-0'
  if tonumber(ARGV[i]) > last then
    redis.call('XADD', KEYS[1], id, 't', ARGV[i + 1])
    last = tonumber(ARGV[i])
  else
    local there = redis.call('XRANGE', KEYS[1], id, id)[1]
    if not there or there[2][2] ~= ARGV[i + 1] then refused = refused + 1 end
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return refused`;

/** Number and text of the lines behind one, in turn. KEYS: stream. ARGV: the number, most bytes of text (one line always). */
const after = `
local lines, bytes, many = {}, 0, 32
local from = ARGV[1] .. '-1'
while true do
  local page = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', many)
  for _, entry in ipairs(page) do
    local seq, text = string.match(entry[1], '^%d+'), entry[2][2]
    bytes = bytes + #text
    if #lines > 0 and bytes > tonumber(ARGV[2]) then return lines end
    lines[#lines + 1] = seq
    lines[#lines + 1] = text
    from = seq .. '-1'
  end
  if #page < many then return lines end
end`;

/**
 * Lets a stream go after a while, and its fence later: a node that slept through the end must not begin the stream anew.
 * KEYS: stream, fence. ARGV: ms for the stream, ms for the fence, the fence of whoever asks ("": none). Returns -1 when a
 * greater fence holds.
 */
const end = `
local held = redis.call('GET', KEYS[2])
if ARGV[3] ~= '' and held and tonumber(held) > tonumber(ARGV[3]) then return -1 end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 0`;

const day = 24 * 60 * 60 * 1000;
/** A run that nobody ends: its node died, and no other took it over. */
const forgottenMs = 7 * day;

const count = z.number().int();
const numbersAndTexts = z.array(z.string());

/** One line of a run's event log, with its number there, from 1. */
export interface LiveLine {
  seq: number;
  text: string;
}

/** The streams as Redis keeps them. All of it rejects as ioredis does. */
export interface LiveStreams {
  /** Adds lines, maybe none, in one go. Returns how many were refused, or -1 when a greater fence holds. */
  append(runId: string, fence: number, lines: readonly LiveLine[]): Promise<number>;
  after(runId: string, seq: number, maxBytes: number): Promise<LiveLine[]>;
  /** Returns -1 when a greater fence holds. */
  end(runId: string, fence: number | undefined, keptMs: number): Promise<number>;
}

export function liveStreams(redis: Redis, prefix: string): LiveStreams {
  redis.defineCommand("liveLogAppend", { numberOfKeys: 2, lua: append });
  redis.defineCommand("liveLogAfter", { numberOfKeys: 1, lua: after });
  redis.defineCommand("liveLogEnd", { numberOfKeys: 2, lua: end });
  // In braces, so that a cluster keeps both in one slot.
  const keys = (runId: string) => [`${prefix}log:{${runId}}`, `${prefix}fence:{${runId}}`] as const;
  return {
    async append(runId, fence, lines) {
      const given = lines.flatMap(({ seq, text }) => [seq, text]);
      return count.parse(await redis.liveLogAppend(...keys(runId), fence, forgottenMs, ...given));
    },
    async after(runId, seq, maxBytes) {
      const [stream] = keys(runId);
      const flat = numbersAndTexts.parse(await redis.liveLogAfter(stream, seq, maxBytes));
      const lines: LiveLine[] = [];
      for (let at = 0; at + 1 < flat.length; at += 2)
        lines.push({ seq: Number(flat[at]), text: flat[at + 1] ?? "" });
      return lines;
    },
    async end(runId, fence, keptMs) {
      const given = [keptMs, Math.max(keptMs, day), fence ?? ""];
      return count.parse(await redis.liveLogEnd(...keys(runId), ...given));
    },
  };
}
