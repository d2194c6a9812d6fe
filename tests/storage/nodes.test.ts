import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { plainPackage } from "../harness.ts";
import { processesOf } from "../marked-processes.ts";
import { type RunningServer, startBuiltServer } from "../server-process.ts";
import { answering, giveCue, installStandIn, type StandInTurn, setScenario } from "../stand-in.ts";
import { redisServer, type StorageServer } from "./servers.ts";

/** Several servers on one machine that share their work: each has a data directory of its own, as if it had its own disk. */
let redis: StorageServer;
let folder: string;
const prefix = () => join(folder, "npm");
const nodes = new Map<string, RunningServer>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "nodes-"));
  redis = await redisServer();
  await installStandIn(prefix(), []);
  const skill = plainPackage("asks", { execution_modes: ["auto", "interactive"] });
  for (const [path, content] of Object.entries(skill)) {
    const file = join(folder, "skills/asks", path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, typeof content === "string" ? content : JSON.stringify(content));
  }
}, 60_000);
afterEach(async () => {
  await Promise.all([...nodes.values()].map((node) => node.crash().catch(() => undefined)));
  nodes.clear();
});
afterAll(async () => {
  await redis?.remove();
  await rm(folder, { recursive: true, force: true });
});

const leaseSeconds = 3;
async function start(name: string, more: Record<string, string> = {}): Promise<RunningServer> {
  const server = await startBuiltServer({
    HOME: join(folder, "home"),
    NPM_CONFIG_PREFIX: prefix(),
    SKILL_RUNNER_SKILLS_DIR: join(folder, "skills"),
    SKILL_RUNNER_DATA_DIR: join(folder, name),
    SKILL_RUNNER_STORAGE: redis.url,
    SKILL_RUNNER_QUEUE_URL: redis.url,
    SKILL_RUNNER_LEASE_SECONDS: String(leaseSeconds),
    SKILL_RUNNER_CPU_FACTOR: "2",
    OPENAI_API_KEY: "sk-none",
    // The stand-in writes beside itself.
    SKILL_RUNNER_SANDBOX: "off",
    ...more,
  });
  nodes.set(name, server);
  return server;
}
const ok: StandInTurn = { lines: answering({ ok: true }) };
/** A server that takes requests and has no engine: what it lets in is carried out elsewhere. */
const startBare = (name: string) => start(name, { NPM_CONFIG_PREFIX: join(folder, "none") });
const send = async (at: RunningServer, runtime_options: object = {}, more: object = {}): Promise<string> => {
  const options = { no_cache: true, ...runtime_options };
  const job = { skill_id: "asks", engine: "codex", runtime_options: options, ...more };
  for (const patience = AbortSignal.timeout(10_000); ; await sleep(50)) {
    const { status, body } = await at.json("POST", "/v1/jobs", job);
    if (status === 200) return body.request_id;
    // The others may not serve their engines yet.
    if (body.code !== "ENGINE_NOT_INSTALLED" || patience.aborted) throw new Error(JSON.stringify(body));
  }
};
const job = async (at: RunningServer, id: string) => (await at.json("GET", `/v1/jobs/${id}`)).body;
const reaches = (at: RunningServer, id: string, status: string, timeout = 30_000) =>
  expect
    .poll(
      async () => {
        const { status: now, error } = await job(at, id);
        return error === null ? now : JSON.stringify(error);
      },
      { timeout, interval: 50 },
    )
    .toBe(status);
const eventsOf = async (at: RunningServer, id: string) =>
  (await at.json("GET", `/v1/jobs/${id}/events/history?limit=1000`)).body.events;
const stepsOf = async (at: RunningServer, id: string): Promise<string[]> =>
  (await eventsOf(at, id))
    .filter(({ type }: { type: string }) => type === "conversation.state.changed")
    .map(({ data }: { data: { to: string } }) => data.to);

/** Reads a stream of server-sent events until it ends or `enough` says so; gives the events' ids in order. */
async function follow(at: RunningServer, id: string, enough: (text: string) => boolean = () => false) {
  const ending = new AbortController();
  const response = await fetch(`${at.url}/v1/jobs/${id}/events`, { signal: ending.signal });
  const decoder = new TextDecoder();
  let text = "";
  try {
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk, { stream: true });
      if (enough(text)) break;
    }
  } finally {
    ending.abort();
  }
  return { text, ids: [...text.matchAll(/^id: (\d+)$/gm)].map(([, seq]) => Number(seq)) };
}

test("a job is carried out by any of the servers, and all of them show it, live and afterwards", async () => {
  await setScenario(prefix(), [{ lines: answering("Thinking"), onCue: true }]);
  // The first takes requests and has no slot: what it takes in is carried out elsewhere.
  const [one, two] = [await startBare("a1"), await start("a2")];
  const id = await send(one);
  await reaches(one, id, "running");
  const heard = follow(one, id);
  await follow(one, id, (text) => text.includes("Thinking"));
  await giveCue(prefix(), id, ok);
  await reaches(one, id, "succeeded");
  const { ids } = await heard;
  expect(ids).toEqual(ids.map((_, at) => at + 1));
  const told = await eventsOf(two, id);
  expect(ids).toHaveLength(told.length);
  expect(await eventsOf(one, id)).toEqual(told);
  for (const at of [one, two])
    expect((await at.json("GET", `/v1/jobs/${id}/result`)).body.result).toMatchObject({ data: { ok: true } });
});

test("a job is canceled from a server that does not carry it out, queued or running", async () => {
  await setScenario(prefix(), [{ waitBefore: 60_000 }]);
  const [one, two] = [
    await startBare("b1"),
    await start("b2", { SKILL_RUNNER_MAX_CONCURRENT_HARD_CAP: "1" }),
  ];
  const running = await send(two);
  await reaches(two, running, "running");
  const queued = await send(two);
  for (const id of [queued, running]) {
    const { status, body } = await one.json("POST", `/v1/jobs/${id}/cancel`);
    expect([status, body]).toEqual([200, expect.objectContaining({ status: "canceled", accepted: true })]);
  }
  expect(await processesOf(running)).toEqual([]);
  expect(await stepsOf(two, running)).toEqual(["running", "canceled"]);
  expect(await stepsOf(one, queued)).toEqual(["canceled"]);
});

test("a question is answered at a server that did not ask it", async () => {
  const asking = answering({ __SKILL_DONE__: false, message: "Which?", ui_hints: { kind: "open_text" } });
  await setScenario(prefix(), [{ lines: asking }, { lines: answering({ ok: true, __SKILL_DONE__: true }) }]);
  const [one, two] = [await startBare("c1"), await start("c2")];
  const id = await send(one, { execution_mode: "interactive" });
  await reaches(one, id, "waiting_user");
  const reply = { interaction_id: 1, response: "this one" };
  // Only one of two that come at once is taken.
  const answers = await Promise.all(
    [one, two].map((at) => at.json("POST", `/v1/jobs/${id}/interaction/reply`, reply)),
  );
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
  await reaches(one, id, "succeeded");
  expect(await stepsOf(two, id)).toEqual(["running", "waiting_user", "queued", "running", "succeeded"]);
  expect(await stepsOf(one, id)).toEqual(await stepsOf(two, id));

  // Taken by the server that does not carry it out: the other one has its files from there, as they are in the storage.
  const second = await send(one, { execution_mode: "interactive" });
  await reaches(one, second, "waiting_user");
  expect((await one.json("POST", `/v1/jobs/${second}/interaction/reply`, reply)).status).toBe(200);
  await reaches(one, second, "succeeded");
});

test("limits hold for all servers together, and urgent jobs come first", async () => {
  await setScenario(prefix(), [{ waitBefore: 300, ...ok }]);
  const limits = { SKILL_RUNNER_ENGINE_LIMITS: "codex=2", SKILL_RUNNER_SKILL_LIMITS: "asks=1" };
  const [one, two] = [await start("g1", limits), await start("g2", limits)];
  const ids = [];
  for (const at of [one, two, one, two, one, two]) ids.push(await send(at));
  for (const id of ids) await reaches(one, id, "succeeded", 60_000);
  const spans = [];
  for (const id of ids) {
    const { started_at, finished_at } = await job(one, id);
    spans.push({ from: Date.parse(started_at ?? ""), to: Date.parse(finished_at ?? "") });
  }
  spans.sort((a, b) => a.from - b.from);
  // None begins before the one before it has ended.
  for (const [n, span] of spans.slice(1).entries())
    expect(span.from).toBeGreaterThanOrEqual(spans[n]?.to ?? 0);
  for (const at of [one, two]) expect(await at.stop()).toBe(0);

  const slots = { SKILL_RUNNER_MAX_CONCURRENT_HARD_CAP: "1" };
  const three = await start("g3", slots);
  const first = await send(three);
  await reaches(three, first, "running");
  const usual = await send(three);
  const urgent = await send(three, { priority: 1 });
  await reaches(three, usual, "succeeded");
  const begun = async (id: string) => Date.parse((await eventsOf(three, id))[0].ts);
  expect(await begun(urgent)).toBeLessThan(await begun(usual));
});

test("one request under a key, sent to all servers at once, makes one job", async () => {
  await setScenario(prefix(), [ok]);
  const all = [await start("d1"), await start("d2"), await start("d3")];
  const body = JSON.stringify({ skill_id: "asks", engine: "codex" });
  const headers = { "content-type": "application/json", "idempotency-key": "the-same" };
  const answers = await Promise.all(
    all.flatMap(({ url }) =>
      [1, 2].map(async () => (await fetch(`${url}/v1/jobs`, { method: "POST", headers, body })).json()),
    ),
  );
  const ids = new Set(answers.map((answer) => (answer as { request_id: string }).request_id));
  expect(ids.size).toBe(1);
});

test("a server that is killed and comes back goes on with its jobs; one that stays away loses them to the others", async () => {
  await setScenario(prefix(), [{ waitBefore: 60_000 }]);
  const [one, two] = [await start("e1"), await startBare("e2")];
  const ids = [await send(one), await send(two)];
  for (const id of ids) await reaches(two, id, "running");
  await one.crash();
  for (const pid of await processesOf(...ids)) process.kill(pid, "SIGKILL");
  await setScenario(prefix(), [ok]);
  const back = await start("e1");
  for (const id of ids) await reaches(two, id, "succeeded");

  await setScenario(prefix(), [{ waitBefore: 60_000 }]);
  const lost = await send(back);
  await reaches(two, lost, "running");
  await back.crash();
  for (const pid of await processesOf(lost)) process.kill(pid, "SIGKILL");
  await setScenario(prefix(), [ok]);
  const three = await start("e3");
  await reaches(three, lost, "succeeded", 60_000);
  expect(await job(three, lost)).toMatchObject({ recovery_state: "requeued" });
  expect((await stepsOf(two, lost)).at(-1)).toBe("succeeded");
}, 180_000);

test("a Redis that is killed and comes back, soon or after every lease has run out, costs no job", async () => {
  await setScenario(prefix(), [{ waitBefore: 1_500, ...ok }]);
  const more = { SKILL_RUNNER_MAX_RESTARTS: "10" };
  const [one, two] = [await start("h1", more), await start("h2", more)];
  for (const awayMs of [300, (leaseSeconds + 2) * 1_000]) {
    const ids = [];
    for (const at of [one, two, one, two, one, two]) ids.push(await send(at));
    await reaches(one, ids[0] ?? "", "running");
    await redis.kill();
    await sleep(awayMs);
    await redis.start();
    for (const id of ids) await reaches(two, id, "succeeded", 60_000);
    for (const id of ids) {
      const steps = await stepsOf(one, id);
      expect([id, steps.filter((to) => to === "succeeded")]).toEqual([id, ["succeeded"]]);
    }
  }
  for (const at of [one, two]) expect(await at.stop()).toBe(0);
}, 180_000);

test("300 jobs on three servers: servers and connections are killed at random, and each job ends once", async () => {
  const total = 300;
  await setScenario(prefix(), [{ waitBefore: 150, ...ok }]);
  const names = ["f1", "f2", "f3"];
  for (const name of names)
    await start(name, { SKILL_RUNNER_MAX_QUEUE_SIZE: "1000", SKILL_RUNNER_MAX_RESTARTS: "100" });
  const pick = () => nodes.get(names[Math.floor(Math.random() * names.length)] ?? "");
  const admin = new Redis(redis.url);
  admin.on("error", () => undefined);
  const ids: string[] = [];
  const sending = (async () => {
    while (ids.length < total) {
      const key = `job-${ids.length}`;
      const headers = { "content-type": "application/json", "idempotency-key": key };
      const body = JSON.stringify({ skill_id: "asks", engine: "codex", runtime_options: { no_cache: true } });
      const answer = await fetch(`${pick()?.url}/v1/jobs`, { method: "POST", headers, body })
        .then(async (response) => (response.ok ? ((await response.json()) as { request_id: string }) : null))
        // It is killed in this moment: sent again under its key.
        .catch(() => null);
      if (answer !== null) ids.push(answer.request_id);
      else await sleep(100);
    }
  })();
  const asOfNow = async (): Promise<number> => {
    const states = await Promise.all(
      ids.map(async (id) => {
        const run = await pick()
          ?.json("GET", `/v1/jobs/${id}`)
          .catch(() => null);
        return run?.body?.status;
      }),
    );
    return states.filter((status) => ["succeeded", "failed", "canceled"].includes(status)).length;
  };
  let kills = 0;
  const deadline = Date.now() + 200_000;
  for (let round = 0; Date.now() < deadline; round++) {
    await sleep(1_500);
    if (ids.length === total && (await asOfNow()) === total) break;
    if (round >= 12) continue;
    if (round % 3 === 2) await admin.client("KILL", "TYPE", round % 2 === 0 ? "normal" : "pubsub");
    else {
      const name = names[Math.floor(Math.random() * names.length)] ?? "";
      await nodes.get(name)?.crash();
      kills += 1;
      await start(name, { SKILL_RUNNER_MAX_QUEUE_SIZE: "1000", SKILL_RUNNER_MAX_RESTARTS: "100" });
    }
  }
  await sending;
  expect(kills).toBeGreaterThan(3);
  const at = nodes.get("f1");
  if (at === undefined) throw new Error("no server");
  for (const id of ids) {
    const steps = await stepsOf(at, id);
    expect([
      id,
      steps.at(-1),
      steps.filter((to) => ["succeeded", "failed", "canceled"].includes(to)).length,
    ]).toEqual([id, "succeeded", 1]);
    // The log is whole, and the same at another server.
    const events = await eventsOf(at, id);
    expect(events.map(({ seq }: { seq: number }) => seq)).toEqual(
      events.map((_: unknown, n: number) => n + 1),
    );
  }
  expect(new Set(ids).size).toBe(total);
  expect(await processesOf(...ids)).toEqual([]);
  await admin.quit();
}, 300_000);
