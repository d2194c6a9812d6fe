import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createGate } from "../../lib/capacity/gate.ts";
import type { OpenQueue } from "../../lib/queue/index.ts";
import { connectQueue } from "../../lib/queue/open-queue.ts";
import { createQueueIntake } from "../../lib/runs/queue-intake.ts";
import { redisConnection } from "./redis-connection.ts";
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
const limitsOf = (engines: Record<string, number> = {}, skills: Record<string, number> = {}) => ({
  engines: new Map(Object.entries(engines)),
  skills: new Map(Object.entries(skills)),
});
async function serverCalled(node: string, limits = limitsOf()): Promise<OpenQueue> {
  const log = { warn() {} };
  const queue = await connectQueue({
    url: redis.url,
    prefix: "p",
    node,
    engines: ["codex", "gemini"],
    limits,
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

const jobOf = (run: string, more: { skill?: string; priority?: number } = {}) => ({
  run,
  revision: 1,
  skill: "s",
  insteadOf: null,
  priority: 5,
  ...more,
});

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
  expect(leases).toBeLessThan(12);
  expect(await queue.isServed("codex")).toBe(false);
  await queue.serve(["codex"]);
  expect(await queue.take("codex")).toMatchObject({ run: "waits", insteadOf: "waits-1" });
});

test("a job that is taken just when Redis refuses its limit is let go of, and carried out later", async () => {
  const { queue } = await serverCalled("one", limitsOf({}, { rare: 1 }));
  await queue.serve(["codex"]);
  await queue.add(jobOf("job", { skill: "rare" }), { engine: "codex", node: "one" });
  const admin = redisConnection(redis.url);
  await admin.set("{p}:queue:permits:skill:rare", "not what it should be");
  await expect(queue.take("codex")).rejects.toThrow(/WRONGTYPE/);
  await admin.del("{p}:queue:permits:skill:rare");
  admin.disconnect();
  const taken = () => queue.take("codex");
  await expect.poll(taken, { timeout: 20_000, interval: 100 }).toMatchObject({ run: "job" });
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

/** Takes jobs at these servers, with so many slots each, until all are done; each takes its time. */
async function carryOut(
  servers: readonly OpenQueue[],
  { slots, workMs, total }: { slots: number; workMs: number; total: number },
) {
  const begun: string[] = [];
  const atOnce = new Map<string, number>();
  const mostOf = new Map<string, number>();
  let putBack = 0;
  const closing = new AbortController();
  const looks: NodeJS.Timeout[] = [];
  const finished = new Promise<void>((resolve) => {
    let done = 0;
    for (const { queue } of servers) {
      const gate = createGate({ limit: slots, maxQueueSize: 1_000 });
      const serve = createQueueIntake({
        queue,
        admit: () => gate.admit(),
        signal: closing.signal,
        log: { warn: (fields, message) => console.warn(message, fields) },
        async handle(job) {
          const { later } = job;
          job.later = (ms) => {
            putBack++;
            return later(ms);
          };
          begun.push(job.run);
          const now = (atOnce.get(job.skill) ?? 0) + 1;
          atOnce.set(job.skill, now);
          mostOf.set(job.skill, Math.max(mostOf.get(job.skill) ?? 0, now));
          await sleep(workMs);
          atOnce.set(job.skill, (atOnce.get(job.skill) ?? 1) - 1);
          await job.done();
          done++;
          if (done === total) resolve();
        },
      });
      const look = () => ["codex", "gemini"].forEach((engine) => void serve(engine));
      queue.onAdded((engine) => void serve(engine));
      looks.push(setInterval(look, 1_000));
      look();
    }
  });
  const from = performance.now();
  await Promise.race([finished, sleep(60_000, undefined, { ref: false })]);
  closing.abort();
  for (const look of looks) clearInterval(look);
  return { begun, mostOf, putBack, ms: performance.now() - from };
}

test("a backlog over an engine's limit goes on at the limit's speed, in its order, on all servers", async () => {
  const limits = limitsOf({ codex: 1 });
  const servers = [await serverCalled("one", limits), await serverCalled("two", limits)];
  const runs = Array.from({ length: 80 }, (_, n) => `run-${n}`);
  for (const run of runs) await servers[0]?.queue.add(jobOf(run), { engine: "codex", node: null });
  for (const { queue } of servers) await queue.serve(["codex"]);
  const { begun, mostOf, putBack, ms } = await carryOut(servers, {
    slots: 8,
    workMs: 100,
    total: runs.length,
  });
  expect(begun).toEqual(runs);
  expect([mostOf.get("s"), putBack]).toEqual([1, 0]);
  expect(ms).toBeLessThan(30_000);
});

test("jobs over a skill's limit keep their order, and let those of others go first, whatever their engine", async () => {
  const limits = limitsOf({}, { rare: 1 });
  const servers = [await serverCalled("one", limits), await serverCalled("two", limits)];
  const rare = Array.from({ length: 40 }, (_, n) => `rare-${n}`);
  const usual = Array.from({ length: 8 }, (_, n) => `usual-${n}`);
  for (const run of rare)
    await servers[0]?.queue.add(jobOf(run, { skill: "rare" }), { engine: "codex", node: null });
  for (const run of usual) await servers[0]?.queue.add(jobOf(run), { engine: "codex", node: null });
  await servers[0]?.queue.add(jobOf("rare-gemini", { skill: "rare" }), { engine: "gemini", node: null });
  for (const { queue } of servers) await queue.serve(["codex", "gemini"]);
  const total = rare.length + usual.length + 1;
  const { begun, mostOf, putBack, ms } = await carryOut(servers, { slots: 4, workMs: 100, total });
  expect(begun.filter((run) => rare.includes(run))).toEqual(rare);
  expect([mostOf.get("rare"), putBack]).toEqual([1, 0]);
  expect(begun.slice(0, 16)).toEqual(expect.arrayContaining(usual));
  expect(ms).toBeLessThan(25_000);
});

test("priority counts before age also where a skill has a limit", async () => {
  const { queue } = await serverCalled("one", limitsOf({}, { rare: 5 }));
  await queue.add(jobOf("old"), { engine: "codex", node: null });
  await sleep(5);
  await queue.add(jobOf("rare", { skill: "rare" }), { engine: "codex", node: null });
  await sleep(5);
  await queue.add(jobOf("new"), { engine: "codex", node: null });
  await queue.add(jobOf("urgent", { skill: "rare", priority: 1 }), { engine: "codex", node: null });
  await queue.serve(["codex"]);
  const taken: (string | undefined)[] = [];
  for (let n = 0; n < 4; n++) taken.push((await queue.take("codex"))?.run);
  expect(taken).toEqual(["urgent", "old", "rare", "new"]);
});

test("what a server that crashed had in hand counts towards a limit until its lease is over", async () => {
  const limits = limitsOf({ codex: 1 });
  const [one, two] = [await serverCalled("one", limits), await serverCalled("two", limits)];
  for (const { queue } of [one, two]) await queue.serve(["codex"]);
  for (const run of ["first", "second"]) await one.queue.add(jobOf(run), { engine: "codex", node: null });
  expect(await one.queue.take("codex")).toMatchObject({ run: "first" });
  await sleep(leaseMs * 1.5);
  // Renewed for as long as it is there.
  expect(await two.queue.take("codex")).toBeNull();
  await one.close();
  const crashed = performance.now();
  const taken = () => two.queue.take("codex");
  await expect.poll(taken, { timeout: 10 * leaseMs, interval: 50 }).not.toBeNull();
  expect(performance.now() - crashed).toBeLessThan(leaseMs * 4);
});

test("a limit that another server does not know yet moves jobs, and loses none", async () => {
  const [old, now] = [await serverCalled("old"), await serverCalled("now", limitsOf({}, { rare: 1 }))];
  const runs = ["a", "b", "c"];
  for (const run of runs) await old.queue.add(jobOf(run, { skill: "rare" }), { engine: "codex", node: null });
  await old.queue.add(jobOf("usual"), { engine: "codex", node: null });
  await now.queue.serve(["codex"]);
  const first = await now.queue.take("codex");
  expect(first).toMatchObject({ run: "a" });
  expect(await now.queue.take("codex")).toMatchObject({ run: "usual" });
  expect(await now.queue.take("codex")).toBeNull();
  for (const run of ["b", "c"])
    expect(await old.queue.has(jobOf(run, { skill: "rare" }), { engine: "codex", node: null })).toBe(true);
  await first?.done();
  await old.queue.serve(["codex"]);
  expect(await old.queue.take("codex")).toMatchObject({ run: "b" });
  const last = async () => (await now.queue.take("codex"))?.run;
  await expect.poll(last, { timeout: 5_000 }).toBe("c");
});

test.each(["prioritized", "delayed"])(
  "a job of which Redis has lost its place (%s) is added anew",
  async (list) => {
    const { queue } = await serverCalled("one");
    const admin = redisConnection(redis.url);
    const place = { engine: "codex", node: null };
    await queue.serve(["codex"]);
    await queue.add(jobOf("half"), place);
    if (list === "delayed") await (await queue.take("codex"))?.later(60_000);
    expect(await queue.has(jobOf("half"), place)).toBe(true);
    await admin.del(`{p}:queue:codex:${list}`);
    admin.disconnect();
    expect(await queue.has(jobOf("half"), place)).toBe(false);
    await queue.add(jobOf("half"), place);
    const taken = await queue.take("codex");
    expect(taken).toMatchObject({ run: "half" });
    expect(await queue.has(jobOf("half"), place)).toBe(true);
    await taken?.done();
    expect(await queue.has(jobOf("half"), place)).toBe(false);
  },
);
