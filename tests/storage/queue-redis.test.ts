import { afterEach, expect, test, vi } from "vitest";
import type { OpenQueue } from "../../lib/queue/index.ts";
import { connectQueue } from "../../lib/queue/open-queue.ts";
import { redisConnection } from "./redis-connection.ts";
import { redisServer, type StorageServer } from "./servers.ts";

/** What a Redis must be for the job queue, and what a server says at its start of one that is not. */
const servers: StorageServer[] = [];
const opened: OpenQueue[] = [];
afterEach(async () => {
  for (const queue of opened.splice(0)) await queue.close();
  for (const server of servers.splice(0)) await server.remove();
});

async function redisWith(...settings: string[]): Promise<StorageServer> {
  const server = await redisServer(...settings);
  servers.push(server);
  return server;
}

async function open(url: string) {
  const log = { warn: vi.fn() };
  const limits = { engines: new Map(), skills: new Map() };
  const parts = { prefix: "p", node: "one", engines: ["codex"], limits, leaseMs: 1_000, log };
  const queue = await connectQueue({ url, ...parts });
  opened.push(queue);
  return { ...queue, log };
}
const job = { run: "r", revision: 1, skill: "s", insteadOf: null, priority: 5 };
const place = { engine: "codex", node: null };

test("a replica is refused", async () => {
  const primary = await redisWith();
  const { port } = new URL(primary.url);
  const replica = await redisWith("--replicaof", "127.0.0.1", port);
  await expect(open(replica.url)).rejects.toThrow(/is a replica, which takes no writes: name the primary/);
});

test("a cluster is refused, whether it has the slot or another has", async () => {
  const cluster = await redisWith("--cluster-enabled", "yes");
  await expect(open(cluster.url)).rejects.toThrow(/is a Redis Cluster: use/);
  const admin = redisConnection(cluster.url);
  await admin.call("CLUSTER", "ADDSLOTS", ...Array.from({ length: 16_384 }, (_, slot) => slot));
  await expect.poll(() => admin.call("CLUSTER", "INFO"), { timeout: 10_000 }).toContain("cluster_state:ok");
  admin.disconnect();
  await expect(open(cluster.url)).rejects.toThrow(/is a Redis Cluster: use/);
});

test("one without memory is refused", async () => {
  const full = await redisWith("--maxmemory", "1");
  await expect(open(full.url)).rejects.toThrow(/has no memory left: raise its maxmemory/);
});

test("one that may drop jobs is told of once, in the log", async () => {
  const printed = vi.spyOn(console, "warn");
  const { queue, log } = await open((await redisWith("--maxmemory-policy", "allkeys-lru")).url);
  await queue.serve(["codex"]);
  await queue.add(job, place);
  expect(log.warn.mock.calls).toEqual([[{}, expect.stringContaining("maxmemory-policy allkeys-lru")]]);
  expect(printed).not.toHaveBeenCalled();
  printed.mockRestore();
});

test("one that tells nothing of itself will do", async () => {
  const { url } = await redisWith();
  const admin = redisConnection(url);
  await admin.call("ACL", "SETUSER", "runner", "on", ">secret", "~*", "&*", "+@all", "-info");
  admin.disconnect();
  const { queue, log } = await open(url.replace("//", "//runner:secret@"));
  await queue.serve(["codex"]);
  await queue.add(job, place);
  expect(await queue.take("codex")).toMatchObject({ run: "r" });
  expect(log.warn).not.toHaveBeenCalled();
});

test("a primary that has become a replica is connected to anew", async () => {
  const [one, other] = [await redisWith(), await redisWith()];
  const { queue } = await open(one.url);
  const admin = redisConnection(one.url);
  const connections = async () =>
    Number((await admin.info("stats")).match(/total_connections_received:(\d+)/)?.[1] ?? Number.NaN);
  await admin.call("REPLICAOF", "127.0.0.1", new URL(other.url).port);
  const before = await connections();
  await expect(queue.add(job, place)).rejects.toThrow(/READONLY/);
  await expect.poll(connections, { timeout: 10_000 }).toBeGreaterThan(before);
  await admin.call("REPLICAOF", "NO", "ONE");
  admin.disconnect();
  await queue.add(job, place);
  expect(await queue.has(job, place)).toBe(true);
});
