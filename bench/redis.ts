import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { freePort, start, stop } from "./server-process.ts";

export interface RedisProcess {
  pid: number;
  /** @param database one of Redis's sixteen, each empty at first */
  url(database: number): string;
  stop(): Promise<void>;
}

const startPatienceMs = 30_000;

/**
 * Starts a real redis-server on a free port, with what it keeps in `folder`; as durable as docs/storage.md asks for.
 * @returns null when there is none on this machine
 * @throws Error when it does not answer in 30 s
 */
export async function startRedis(folder: string): Promise<RedisProcess | null> {
  if (spawnSync("redis-server", ["--version"]).error !== undefined) return null;
  mkdirSync(folder, { recursive: true });
  const port = await freePort();
  const place = ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""];
  const durable = ["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"];
  const child = start("redis-server", [...place, ...durable], { stdio: ["ignore", "ignore", "inherit"] });
  const url = (database: number) => `redis://127.0.0.1:${port}/${database}`;
  const client = new Redis(url(0), { maxRetriesPerRequest: null, retryStrategy: () => 10 });
  // Refused until it is there.
  client.on("error", () => undefined);
  const isThere = await Promise.race([
    client.ping().then(() => true),
    sleep(startPatienceMs, false, { ref: false }),
  ]);
  client.disconnect();
  if (!isThere) throw new Error(`redis-server does not answer; its exit code is ${child.exitCode}`);
  return { pid: child.pid ?? 0, url, stop: () => stop(child) };
}
