import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { OpenQueue } from "../../lib/queue/index.ts";
import { connectQueue } from "../../lib/queue/open-queue.ts";
import { redisServer, type StorageServer } from "./servers.ts";

/** The job queue of several servers, on a real Redis. */
let redis: StorageServer;
const opened: OpenQueue[] = [];
const children: ChildProcess[] = [];
beforeEach(async () => {
  // As some providers do: nobody may look at the connections of others.
  redis = await redisServer("--rename-command", "CLIENT", "");
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  for (const queue of opened.splice(0)) await queue.close();
  await redis.remove();
});

const leaseMs = 1_000;
async function serverCalled(node: string): Promise<OpenQueue> {
  const log = { warn() {} };
  const queue = await connectQueue({
    url: redis.url,
    prefix: "p",
    node,
    engines: ["codex", "gemini"],
    leaseMs,
    log,
  });
  opened.push(queue);
  return queue;
}

/** A server in a process of its own, which takes part in the queue. */
async function processCalled(node: string): Promise<ChildProcess> {
  const script = join(import.meta.dirname, "queue-node.ts");
  const child = spawn(process.execPath, ["--import", "tsx", script, redis.url, node, String(leaseMs)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  await once(child.stdout, "data");
  return child;
}

const jobOf = (run: string) => ({ run, revision: 1, skill: "s", insteadOf: null, priority: 5 });

test("a server that hangs is away after some leases: its jobs are offered to others, and it serves no engine", async () => {
  const hung = await processCalled("hung");
  const { queue } = await serverCalled("other");
  expect(await queue.isServed("codex")).toBe(true);
  expect(await queue.isServed("gemini")).toBe(false);
  await queue.add(jobOf("waits"), { engine: "codex", node: "hung" });
  await queue.serve(["gemini"]);

  // One that is there keeps its jobs.
  for (let looks = 0; looks < 4; looks++) {
    await queue.rescue(leaseMs);
    await sleep(leaseMs);
  }
  expect(await queue.has(jobOf("waits"), { engine: "codex", node: null })).toBe(false);
  expect(await queue.isServed("codex")).toBe(true);

  hung.kill("SIGSTOP");
  const from = performance.now();
  const isOffered = async () => {
    await queue.rescue(leaseMs * 2);
    return queue.has(jobOf("waits"), { engine: "codex", node: null });
  };
  await expect.poll(isOffered, { timeout: 20 * leaseMs, interval: leaseMs / 4 }).toBe(true);
  const leases = (performance.now() - from) / leaseMs;
  expect(leases).toBeGreaterThan(3);
  expect(leases).toBeLessThan(6);
  expect(await queue.isServed("codex")).toBe(false);
  await queue.serve(["codex"]);
  expect(await queue.take("codex")).toMatchObject({ run: "waits", insteadOf: "waits-1" });
});

test("a server that takes its leave is away at once", async () => {
  const [one, two] = [await serverCalled("one"), await serverCalled("two")];
  await one.queue.serve(["codex", "gemini"]);
  expect(await two.queue.isServed("gemini")).toBe(true);
  await one.queue.serve(["codex"]);
  expect(await two.queue.isServed("gemini")).toBe(false);
  expect(await two.queue.isServed("codex")).toBe(true);
  await one.close();
  expect(await two.queue.isServed("codex")).toBe(false);
});
