import { execFileSync } from "node:child_process";
import { readdir } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import type { RunningServer } from "../server-process.ts";
import { faultsOf } from "./checker.ts";
import { type Client, createClient, ended, haiku, json, NoAnswer, report, untouched } from "./client.ts";
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

/** The most descriptors that the server may have (setrlimit(2), the soft limit). */
function allow(most: number): void {
  execFileSync("prlimit", ["--pid", String(server.child.pid), `--nofile=${most}:`]);
}

/** Leaves the server eight descriptors more than it has, and takes them. Gives the limit. */
async function exhaust(): Promise<number> {
  const limit = (await descriptors()) + 8;
  allow(limit);
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
  allow(1_024);

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

// Before the server has warmed up, and after it: what it uses first while it has no descriptor differs.
test.each([0, 2_000])(
  "what is first used without descriptors works once there are some again (%i ms)",
  {
    timeout: 120_000,
  },
  async (age) => {
    const client = await start();
    await client.send("GET", "/healthz");
    await sleep(age);
    const limit = await exhaust();
    const paths = ["/readyz", "/v1/skills", "/v1/jobs", "/v1/engines", "/openapi.json", "/docs"];
    const soon = () => ({ signal: AbortSignal.timeout(3_000) });
    for (const path of paths) await client.send("GET", path, soon()).catch(() => undefined);
    await client.send("POST", "/v1/jobs", { ...json(haiku("early", {})), ...soon() }).catch(() => undefined);
    await giveBack(limit);
    allow(1_024);
    // One connection may still be closed by the server in that moment: a client would ask again.
    for (const path of paths) {
      const status = async () => (await client.send("GET", path, soon()).catch(() => null))?.status;
      await expect.poll(status, { timeout: 5_000, message: path }).toBe(200);
    }
    const { engines } = (await client.send("GET", "/v1/engines")).body;
    expect(engines).toContainEqual(expect.objectContaining({ engine: "codex", present: true }));
    const late = (await client.submit(haiku("late", {}))) ?? "";
    expect(await client.until(late, ended)).toMatchObject({ status: "succeeded" });
  },
);

test("an agent that there are too few descriptors for fails its job, and the server goes on", {
  timeout: 120_000,
}, async () => {
  const client = await start();
  await client.until((await client.submit(haiku("first", {}))) ?? "", ended);
  const codes: string[] = [];
  // How many a start needs is the kernel's and Node's affair: somewhere on this way it stops being enough.
  for (let room = 16; room > 0; room--) {
    allow((await descriptors()) + room);
    const id = await client.submit(haiku(`room for ${room}`, {}), { mayRefuse: true }).catch(() => null);
    if (id !== null) {
      const end = async () => {
        const answer = await client.send("GET", `/v1/jobs/${id}`).catch(() => null);
        return answer?.status === 200 && ended.includes(answer.body.status) ? answer.body : null;
      };
      const job = await expect.poll(end, { timeout: 30_000 }).not.toBeNull().then(end);
      codes.push(job.error?.code ?? job.status);
    }
    allow(1_024);
  }
  expect(new Set(codes)).toEqual(new Set(["succeeded", "STORAGE_FAILED"]));
  const late = (await client.submit(haiku("late", {}))) ?? "";
  expect(await client.until(late, ended)).toMatchObject({ status: "succeeded" });
});
