import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { constants, mkdirSync, openSync } from "node:fs";
import { Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Queue } from "bullmq";
import pLimit from "p-limit";
import { bundle } from "./bundle.ts";
import { fetchJson } from "./http.ts";
import { submit } from "./jobs.ts";
import type { RedisProcess } from "./redis.ts";
import { type ServerProcess, startNode, startServer, stop } from "./server-process.ts";
import { begunOf, installStandIn, setSleep } from "./stand-in.ts";
import { toldTimes } from "./told-times.ts";

/** Runs that each server carries out at once. */
export const slots = 2;
/** What each run of a round sleeps, in ms: next to it, its processes cost little. */
export const sleepMs = 200;
/** Requests under way for each server. */
const requestsAtOnce = 4;
const pollEveryMs = 10;

/** One server without a queue, servers with one, and BullMQ alone, all on one Redis. */
export interface Cluster {
  alone: ServerProcess;
  nodes: readonly ServerProcess[];
  /** Starts one more server with the queue. */
  grow(): Promise<void>;
  /** Sends one job to an idle server, and sees it end. @returns ms from the answer to its agent's first step */
  dispatch(server: ServerProcess): Promise<number>;
  /** @returns ms from the call of `add` to that of the processor, in a process of its own */
  dispatchBare(): Promise<number>;
  /** Sends runs to servers in turn. @returns seconds from the first request until the last agent has slept */
  carryOut(servers: readonly ServerProcess[], runs: number): Promise<number>;
  stop(): Promise<void>;
}

export async function startCluster(folder: string, redis: RedisProcess): Promise<Cluster> {
  const npmPrefix = join(folder, "npm");
  installStandIn(npmPrefix, "sleeper");
  setSleep(npmPrefix, 0);
  execFileSync("mkfifo", [begunOf(npmPrefix)]);
  // For both ways: it does not end when the last agent has closed it.
  const fifo = new Socket({
    fd: openSync(begunOf(npmPrefix), constants.O_RDWR | constants.O_NONBLOCK),
    writable: false,
  });
  const begun = toldTimes(fifo);

  const common = {
    NPM_CONFIG_PREFIX: npmPrefix,
    SKILL_RUNNER_MAX_CONCURRENT_HARD_CAP: String(slots),
    SKILL_RUNNER_CPU_FACTOR: String(slots),
    SKILL_RUNNER_ESTIMATED_MEM_PER_RUN_MB: "64",
    SKILL_RUNNER_MAX_QUEUE_SIZE: "10000",
  };
  const startOne = (name: string, more: Record<string, string>) => {
    const own = join(folder, name);
    mkdirSync(own);
    return startServer(own, "sleeper", { ...common, ...more });
  };
  const alone = await startOne("alone", { SKILL_RUNNER_STORAGE: redis.url(1) });
  const nodes: ServerProcess[] = [];

  const bareName = "bare";
  const worker = startNode(await bundle("bare-queue.ts", folder), [bareName, redis.url(2)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (worker.stdout === null) throw new Error("the bare worker has no output");
  const called = toldTimes(worker.stdout);
  await called.next();
  const bare = new Queue(bareName, { connection: { url: redis.url(2), maxRetriesPerRequest: null } });

  const ended = async (server: ServerProcess, id: string): Promise<void> => {
    for (; ; await sleep(pollEveryMs)) {
      const { status } = await fetchJson<{ status: string | null }>(`${server.url}/v1/jobs/${id}`);
      if (status === "succeeded") return;
      if (status === "failed" || status === "canceled") throw new Error(`job ${id} has ${status}`);
    }
  };

  return {
    alone,
    nodes,
    async grow() {
      const more = { SKILL_RUNNER_STORAGE: redis.url(0), SKILL_RUNNER_QUEUE_URL: redis.url(0) };
      nodes.push(await startOne(`node-${nodes.length + 1}`, more));
    },
    async dispatch(server) {
      setSleep(npmPrefix, 0);
      const id = await submit(server.url, randomUUID());
      const answered = performance.now();
      const began = await begun.next();
      await ended(server, id);
      return began - answered;
    },
    async dispatchBare() {
      const added = performance.now();
      await bare.add("job", {}, { removeOnComplete: true });
      return (await called.next()) - added;
    },
    async carryOut(servers, runs) {
      setSleep(npmPrefix, sleepMs);
      const limit = pLimit(requestsAtOnce * servers.length);
      const started = performance.now();
      const sending = Array.from({ length: runs }, (_, n) => {
        const server = inTurn(servers, n);
        return limit(async () => ({ server, id: await submit(server.url, randomUUID()) }));
      });
      let last = started;
      for (let n = 0; n < runs; n++) last = await begun.next();
      for (const { server, id } of await Promise.all(sending)) await ended(server, id);
      return (last + sleepMs - started) / 1000;
    },
    async stop() {
      await Promise.all([alone, ...nodes].map((server) => server.stop()));
      await bare.close();
      await stop(worker);
      fifo.destroy();
    },
  };
}

/** The nth of them, from the start again behind the last. @throws Error when there is none */
export function inTurn<T>(all: readonly T[], n: number): T {
  const [chosen] = all.slice(n % all.length);
  if (chosen === undefined) throw new Error("there is none to choose from");
  return chosen;
}
