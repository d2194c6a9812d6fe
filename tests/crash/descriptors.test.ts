import { execFileSync } from "node:child_process";
import { readdir } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import type { RunningServer } from "../server-process.ts";
import { faultsOf } from "./checker.ts";
import { type Client, createClient, ended, haiku, NoAnswer, report, untouched } from "./client.ts";
import { makeSite, type Site } from "./site.ts";

let site: Site;
let server: RunningServer;
const held: Socket[] = [];
afterEach(async () => {
  for (const socket of held.splice(0)) socket.destroy();
  await site?.remove();
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

/** Leaves the server eight descriptors more than it has, and takes them. Gives the limit. */
async function exhaust(): Promise<number> {
  const limit = (await descriptors()) + 8;
  execFileSync("prlimit", ["--pid", String(server.child.pid), `--nofile=${limit}:${limit}`]);
  await takeAll(limit);
  return limit;
}

async function giveBack(limit: number): Promise<void> {
  for (const socket of held.splice(0)) socket.destroy();
  await expect.poll(descriptors, { timeout: 30_000 }).toBeLessThan(limit - 4);
}

async function start(): Promise<Client> {
  site = await makeSite();
  server = await site.launch({ SKILL_RUNNER_FD_RESERVE: "0" }).ready;
  return createClient(server.url, new Map());
}

test("without descriptors requests are refused, nothing accepted is lost, and the server goes on", {
  timeout: 180_000,
}, async () => {
  const client = await start();
  const { ledger } = client;
  // What is loaded at its first call is not what this is about: a job's whole life and the checker call it all.
  await client.until((await client.submit(haiku("zero", {}))) ?? "", ended);
  const whole = (await client.submit(report())) ?? "";
  await client.upload(whole);
  await client.until(whole, ended);
  expect(await faultsOf(client, site)).toEqual([]);
  const may = { ends: ["succeeded", "failed"] };
  const running = await client.submit(haiku("one", { before: 1_500 }), may);
  await client.until(running ?? "", ["running"]);
  for (const text of ["two", "three"]) await client.submit(haiku(text, {}), may);
  const waiting = await client.submit(report(), may);
  expect((await client.send("POST", `/v1/jobs/${running}/upload`)).status).toBe(409);

  const limit = await exhaust();
  // Whoever gets an answer gets a clear one; whoever gets none was not let in.
  for (const body of [haiku("four"), haiku("five", {}), report()]) {
    const answer = await client
      .send("POST", "/v1/jobs", {
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      })
      .catch((error: unknown) => {
        expect(error).toBeInstanceOf(NoAnswer);
        return null;
      });
    if (answer?.status === 200) ledger.set(answer.body.request_id, untouched(may.ends));
    else if (answer !== null)
      expect
        .soft({ status: answer.status, code: answer.body.code })
        .toEqual({ status: 503, code: "STORAGE_FAILED" });
  }
  // The running job ends, and the next gets its turn, while there is none to open its files with.
  const marked = async () => (await site.marks()).some(({ run, mark }) => run === running && mark === "end");
  await expect.poll(marked, { timeout: 30_000 }).toBe(true);
  await giveBack(limit);

  expect(server.child.exitCode).toBeNull();
  expect((await client.upload(waiting ?? "")).status).toBe(200);
  await client.submit(haiku("six"));
  for (const id of ledger.keys()) {
    const job = await client.until(id, ended);
    if (job.status === "failed")
      expect.soft(job.error.code, job.error.message).not.toBe("ORCHESTRATOR_ERROR");
  }
  expect(await faultsOf(client, site)).toEqual([]);
});

test("functions that are first called without descriptors work once there are some again", {
  timeout: 60_000,
}, async () => {
  const client = await start();
  await client.send("GET", "/healthz");
  const limit = await exhaust();
  const paths = ["/readyz", "/v1/skills", "/v1/jobs", "/v1/engines", "/openapi.json"];
  for (const path of paths) await client.send("GET", path).catch(() => undefined);
  await giveBack(limit);
  for (const path of paths) expect.soft((await client.send("GET", path)).status, path).toBe(200);
});
