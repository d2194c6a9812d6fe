import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { createLiveLog, FenceHeld } from "../../lib/queue/live-log.ts";
import { redisConnection } from "./redis-connection.ts";
import { redisServer, type StorageServer } from "./servers.ts";

let server: StorageServer;
let admin: ReturnType<typeof redisConnection>;
beforeAll(async () => {
  server = await redisServer();
  admin = redisConnection(server.url);
});
afterAll(async () => {
  admin.disconnect();
  await server.remove();
});

const nodes: { leave(): Promise<void> }[] = [];
afterEach(async () => {
  for (const node of nodes.splice(0)) await node.leave();
});

function node(options: Parameters<typeof redisConnection>[1] & { keptMs?: number } = {}) {
  const { keptMs, ...connection } = options;
  const redis = redisConnection(server.url, connection);
  const log = { warn: vi.fn() };
  const onSent = vi.fn();
  const kept = keptMs === undefined ? {} : { keptMs };
  const live = createLiveLog({ redis, prefix: "nodes:", log, onSent, ...kept });
  const leave = async () => {
    await live.close();
    redis.disconnect();
  };
  nodes.push({ leave });
  const told = () => log.warn.mock.calls.map(([fields, message]) => [fields.lines, message]);
  return { ...live, onSent, told };
}

const lines = (from: number, to: number, text = "line") =>
  Array.from({ length: to - from + 1 }, (_, n) => ({ seq: from + n, text: `${text} ${from + n}` }));
const all = 64 * 1024 * 1024;
const until = { timeout: 20_000 };

test("another node reads the lines in order, from anywhere on, byte for byte", async () => {
  const [one, two] = [node(), node()];
  const odd = { seq: 4, text: '{"é":"\\u2028 \u{1f600}\n"}' };
  one.append("order", 1, [...lines(1, 3), odd]);
  one.append("order", 1, lines(5, 3000));
  await one.flushed("order", 10_000);
  expect(await two.after("order", 0, all)).toEqual([...lines(1, 3), odd, ...lines(5, 3000)]);
  expect(await two.after("order", 2998, all)).toEqual(lines(2999, 3000));
  expect(await two.after("order", 3000, all)).toEqual([]);
  expect(await two.after("no such run", 0, all)).toEqual([]);
  expect(one.told()).toEqual([]);
  expect(one.onSent).toHaveBeenLastCalledWith("order");
});

test("a page has at most so many bytes, but one line always", async () => {
  const one = node();
  const big = [1, 2, 3].map((seq) => ({ seq, text: "é".repeat(50) }));
  one.append("pages", 1, big);
  await one.flushed("pages", 10_000);
  const seqs = async (after: number, bytes: number) =>
    (await one.after("pages", after, bytes)).map(({ seq }) => seq);
  expect(await seqs(0, 200)).toEqual([1, 2]);
  expect(await seqs(0, 199)).toEqual([1]);
  expect(await seqs(1, 0)).toEqual([2]);
  expect(await seqs(2, 1000)).toEqual([3]);
});

test("lines are there when others are told of them", async () => {
  const seen: number[] = [];
  const reader = node();
  const redis = redisConnection(server.url);
  const reads: Promise<unknown>[] = [];
  const onSent = (run: string) =>
    reads.push(reader.after(run, 0, all).then((found) => seen.push(found.length)));
  const live = createLiveLog({ redis, prefix: "nodes:", log: { warn: vi.fn() }, onSent });
  live.append("told", 1, lines(1, 7));
  await live.flushed("told", 10_000);
  await Promise.all(reads);
  expect(seen).toEqual([7]);
  await live.close();
  redis.disconnect();
});

test("who has an older fence than the newest claim is not listened to", async () => {
  const [one, two] = [node(), node()];
  await one.claim("fence", 1);
  one.append("fence", 1, lines(1, 2));
  await one.flushed("fence", 10_000);
  await two.claim("fence", 2);
  await two.claim("fence", 2);
  one.append("fence", 1, lines(3, 5, "old"));
  await one.flushed("fence", 10_000);
  await expect(one.claim("fence", 1)).rejects.toThrow(FenceHeld);
  two.append("fence", 2, lines(3, 4, "new"));
  await two.flushed("fence", 10_000);
  expect(await one.after("fence", 0, all)).toEqual([...lines(1, 2), ...lines(3, 4, "new")]);
  expect(one.told()).toEqual([[3, "live events were dropped: another node has taken the run over"]]);
  expect(two.told()).toEqual([]);
  expect(one.onSent).toHaveBeenCalledTimes(1);
});

test("a greater fence that writes without a claim is a claim", async () => {
  const one = node();
  one.append("raised", 5, lines(1, 1));
  await one.flushed("raised", 10_000);
  await expect(one.claim("raised", 4)).rejects.toThrow("4 is not the newest fence");
  await one.claim("raised", 10);
  await expect(one.claim("raised", 9)).rejects.toThrow(FenceHeld);
});

test("lines that wait together keep the fences that they were written with", async () => {
  const one = node();
  one.append("fences", 2, lines(1, 2));
  one.append("fences", 1, lines(3, 4));
  one.append("fences", 2, lines(5, 6));
  await one.flushed("fences", 10_000);
  expect(await one.after("fences", 0, all)).toEqual([...lines(1, 2), ...lines(5, 6)]);
  expect(one.told()).toEqual([[2, "live events were dropped: another node has taken the run over"]]);
});

test("what was sent makes room again", async () => {
  const one = node();
  const mib = "x".repeat(1024 * 1024);
  for (let seq = 1; seq <= 20; seq += 4) {
    one.append(
      "much",
      1,
      [0, 1, 2, 3].map((n) => ({ seq: seq + n, text: mib })),
    );
    await one.flushed("much", 20_000);
  }
  expect(await one.after("much", 0, all)).toHaveLength(20);
  expect(one.told()).toEqual([]);
});

test("a number that is taken keeps its line; a gap is no fault; the same line again is none either", async () => {
  const one = node();
  one.append("numbers", 1, lines(7, 8));
  one.append("numbers", 1, lines(7, 8));
  one.append("numbers", 1, [...lines(8, 9, "other"), ...lines(20, 20)]);
  await one.flushed("numbers", 10_000);
  expect(await one.after("numbers", 0, all)).toEqual([
    ...lines(7, 8),
    ...lines(9, 9, "other"),
    ...lines(20, 20),
  ]);
  expect(one.told()).toEqual([[1, "live events were dropped: their numbers are taken"]]);
});

test("connections that are killed while lines go out cost none of them, and none comes twice", async () => {
  const one = node();
  for (let n = 0; n < 40; n++) {
    one.append("killed", 1, lines(n * 100 + 1, n * 100 + 100));
    if (n % 4 === 0) await admin.client("KILL", "TYPE", "normal", "SKIPME", "yes");
    if (n % 4 === 2) await one.flushed("killed", 10_000);
  }
  await one.flushed("killed", 20_000);
  expect(await one.after("killed", 0, all)).toEqual(lines(1, 4000));
  expect(one.told()).toEqual([]);
});

test("what Redis did without answering in time is not done twice", async () => {
  const one = node({ commandTimeout: 100 });
  await one.claim("paused", 1);
  await admin.client("PAUSE", 1500, "WRITE");
  one.append("paused", 1, lines(1, 3));
  await one.flushed("paused", 20_000);
  expect(await one.after("paused", 0, all)).toEqual(lines(1, 3));
  expect(one.told()).toEqual([[undefined, "Redis takes no live events for now: they wait in memory"]]);
});

test("while Redis is away lines wait, as many as there is room for; then they come", async () => {
  const one = node();
  await one.claim("away", 1);
  await server.kill();
  one.append("away", 1, lines(1, 100));
  const mib = "x".repeat(1024 * 1024);
  for (let seq = 101; seq <= 110; seq++) one.append("away", 1, [{ seq, text: mib }]);
  const began = Date.now();
  await one.flushed("away", 200);
  expect(Date.now() - began).toBeGreaterThanOrEqual(190);
  expect(one.onSent).not.toHaveBeenCalled();
  await server.start();
  await one.flushed("away", 20_000);
  one.append("away", 1, lines(111, 111));
  await one.flushed("away", 10_000);
  const seqs = (await node().after("away", 0, all)).map(({ seq }) => seq);
  expect(seqs).toEqual([...lines(1, 107).map(({ seq }) => seq), 111]);
  await expect.poll(() => one.told()).toEqual([[3, "live events were dropped: too many waited for Redis"]]);
  await expect(one.claim("away", 0)).rejects.toThrow(FenceHeld);
});

test("a node may start before Redis does", async () => {
  await server.kill();
  const one = node();
  one.append("early", 2, lines(1, 2));
  const claimed = one.claim("early", 2);
  await server.start();
  await claimed;
  await one.flushed("early", 20_000);
  expect(await one.after("early", 0, all)).toEqual(lines(1, 2));
});

test("a Redis whose memory is full, or that has forgotten the script, is asked again", async () => {
  const one = node();
  one.append("full", 1, lines(1, 1));
  await one.flushed("full", 10_000);
  await admin.config("SET", "maxmemory", "1");
  await admin.script("FLUSH");
  one.append("full", 1, lines(2, 3));
  await expect.poll(() => one.told().length, until).toBe(1);
  expect(await one.after("full", 0, all)).toEqual(lines(1, 1));
  await admin.config("SET", "maxmemory", "0");
  await one.flushed("full", 20_000);
  expect(await one.after("full", 0, all)).toEqual(lines(1, 3));
  expect(one.told()).toEqual([[undefined, "Redis takes no live events for now: they wait in memory"]]);
});

test("what Redis refuses for good is dropped and told, and the run's next lines come", async () => {
  const one = node();
  await admin.set("nodes:log:{wrong}", "no stream");
  one.append("wrong", 1, lines(1, 1));
  await one.flushed("wrong", 10_000);
  expect(one.told()).toEqual([[undefined, "Redis refused live events: they were dropped"]]);
  await admin.del("nodes:log:{wrong}");
  one.append("wrong", 1, lines(2, 2));
  await one.flushed("wrong", 10_000);
  expect(await one.after("wrong", 0, all)).toEqual(lines(2, 2));
});

test("the stream of a run that ended goes after a while, of one that was forgotten after days", async () => {
  const one = node({ keptMs: 300 });
  one.append("ended", 3, lines(1, 600));
  one.append("forgotten", 3, lines(1, 1));
  one.end("ended", 3);
  await one.flushed("ended", 10_000);
  await one.flushed("forgotten", 10_000);
  const daysLeft = async (key: string) => (await admin.pttl(key)) / (24 * 60 * 60 * 1000);
  expect(Math.ceil(await daysLeft("nodes:log:{forgotten}"))).toBe(7);
  expect(Math.ceil(await daysLeft("nodes:fence:{forgotten}"))).toBe(7);
  await expect.poll(() => admin.exists("nodes:log:{ended}")).toBe(0);
  // A node that slept through the end does not begin it anew.
  expect(Math.ceil(await daysLeft("nodes:fence:{ended}"))).toBe(1);
  one.append("ended", 2, lines(1, 1));
  await one.flushed("ended", 10_000);
  expect(await admin.exists("nodes:log:{ended}")).toBe(0);
});

test("a node that lost the run cannot end its stream, one that never had it can", async () => {
  const [one, two] = [node({ keptMs: 60_000 }), node({ keptMs: 60_000 })];
  one.append("taken", 1, lines(1, 1));
  await one.flushed("taken", 10_000);
  await two.claim("taken", 2);
  one.end("taken", 1);
  await expect
    .poll(() => one.told())
    .toEqual([[undefined, "live events are kept: another node has taken the run over"]]);
  expect(await admin.pttl("nodes:log:{taken}")).toBeGreaterThan(60_000);
  one.end("taken");
  await expect.poll(() => admin.pttl("nodes:log:{taken}")).toBeLessThanOrEqual(60_000);
});

test("closing sends what waits, or tells how much it lost", async () => {
  const one = node();
  one.append("closed", 1, lines(1, 2000));
  one.end("closed", 1);
  await one.close();
  one.append("closed", 1, lines(2001, 2001));
  expect(await node().after("closed", 0, all)).toEqual(lines(1, 2000));
  expect(await admin.pttl("nodes:log:{closed}")).toBeLessThanOrEqual(10 * 60_000);
  const two = node();
  await server.kill();
  two.append("lost", 1, lines(1, 2));
  await two.close();
  expect(two.told()).toEqual([[2, "live events were dropped: Redis did not take them"]]);
  await server.start();
});
