import { execFileSync } from "node:child_process";
import { readdir } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import type { RunningServer } from "../server-process.ts";
import { faultsOf } from "./checker.ts";
import { createClient, ended, haiku, type Ledger, NoAnswer, report } from "./client.ts";
import { makeSite, type Site } from "./site.ts";

let site: Site;
let server: RunningServer;
const held: Socket[] = [];
afterEach(async () => {
  for (const socket of held.splice(0)) socket.destroy();
  await server.crash();
  await site.remove();
});

const descriptors = async () => (await readdir(`/proc/${server.child.pid}/fd`)).length;

/** Opens connections that say nothing until the server has no descriptor left. */
async function takeAll(limit: number): Promise<void> {
  const { hostname, port } = new URL(server.url);
  for (let n = 0; n < limit + 20; n++) {
    const socket = connect(Number(port), hostname);
    socket.on("error", () => undefined);
    held.push(socket);
  }
  await expect.poll(descriptors, { timeout: 30_000 }).toBeGreaterThanOrEqual(limit);
}

test("without descriptors requests are refused, nothing accepted is lost, and the server goes on", {
  timeout: 180_000,
}, async () => {
  site = await makeSite();
  const ledger: Ledger = new Map();
  server = await site.launch({ LOG_LEVEL: "error", SKILL_RUNNER_FD_RESERVE: "0" }).ready;
  const client = createClient(server.url, ledger);
  const may = { ends: ["succeeded", "failed"] };
  const running = await client.submit(haiku("one", { before: 1_500 }), may);
  await client.until(running ?? "", ["running"]);
  for (const text of ["two", "three"]) await client.submit(haiku(text, {}), may);
  const waiting = await client.submit(report(), may);
  expect(ledger.size).toBe(4);

  const limit = (await descriptors()) + 8;
  execFileSync("prlimit", ["--pid", String(server.child.pid), `--nofile=${limit}:${limit}`]);
  await takeAll(limit);
  // Whoever gets an answer gets a clear one; whoever gets none was not let in.
  const asked = await Promise.allSettled(
    [haiku("four"), haiku("five", {}), report()].map((body) =>
      client.submit(body, { ...may, mayRefuse: true }),
    ),
  );
  for (const answer of asked)
    if (answer.status === "rejected") expect(answer.reason).toBeInstanceOf(NoAnswer);
  // The running job ends, and the next gets its turn, while there is none to open its files with.
  const marked = async () => (await site.marks()).some(({ run, mark }) => run === running && mark === "end");
  await expect.poll(marked, { timeout: 30_000 }).toBe(true);
  for (const socket of held.splice(0)) socket.destroy();
  await expect.poll(descriptors, { timeout: 30_000 }).toBeLessThan(limit - 4);

  expect(server.child.exitCode).toBeNull();
  expect((await client.send("GET", "/healthz")).status).toBe(200);
  expect((await client.upload(waiting ?? "")).status).toBe(200);
  const late = await client.submit(haiku("six"));
  for (const id of ledger.keys()) {
    const job = await client.until(id, ended);
    if (job.status === "failed") expect(job.error.message).not.toBe("");
  }
  expect(late).not.toBeNull();
  expect(await faultsOf(client, site)).toEqual([]);
});
