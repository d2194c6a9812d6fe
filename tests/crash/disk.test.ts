import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, type TestContext, test } from "vitest";
import type { RunningServer } from "../server-process.ts";
import { faultsOf } from "./checker.ts";
import {
  type Answer,
  type Client,
  createClient,
  ended,
  haiku,
  type Ledger,
  report,
  untouched,
} from "./client.ts";
import { makeSite, type Site } from "./site.ts";
import { mountSmallDisk, type SmallDisk } from "./small-disk.ts";
import { finishWaiting } from "./waiting-jobs.ts";

/** A job that could not be carried on for want of space may fail, if it says so; and one that a crash interrupted. */
const reasons = ["STORAGE_FAILED", "RESULT_NOT_STORED", "ORCHESTRATOR_RESTART_INTERRUPTED"];
const mayFail = { ends: ["succeeded", "failed"] };

let disk: SmallDisk | null = null;
let site: Site;
let server: RunningServer | null = null;
let ledger: Ledger;

afterEach(async () => {
  await site?.remove();
  disk?.unmount();
  disk = null;
});

/** A disk of this size, or the end of the test: a failure in CI, "not run" elsewhere. */
async function onDiskOf(mebibytes: number, context: TestContext): Promise<SmallDisk> {
  disk = mountSmallDisk(mebibytes);
  if (disk === null) {
    const why = "not run: this user may not mount a tmpfs";
    if (process.env.CI) throw new Error(why);
    context.skip(why);
    throw new Error(why);
  }
  site = await makeSite(disk.dataDir);
  ledger = new Map();
  return disk;
}

async function start(): Promise<Client> {
  server = await site.launch().ready;
  return createClient(server.url, ledger);
}

const mustSubmit = async (client: Client, body: object, options = {}): Promise<string> => {
  const id = await client.submit(body, options);
  if (id === null) throw new Error("a job was refused");
  return id;
};

/** Soft, so that what comes after is looked at too. */
function expectStorageProblem({ status, body, headers }: Answer, what: string): void {
  expect.soft({ status, code: body.code }, what).toEqual({ status: 503, code: "STORAGE_FAILED" });
  expect.soft(headers.get("content-type"), what).toBe("application/problem+json");
}

async function sendRaw(client: Client, body: object): Promise<Answer> {
  const answer = await client.send("POST", "/v1/jobs", {
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (answer.status === 200) ledger.set(answer.body.request_id, untouched(mayFail.ends));
  return answer;
}

async function expectJobsRefused(client: Client): Promise<void> {
  expectStorageProblem(await sendRaw(client, haiku("refused")), "a job");
  expectStorageProblem(await sendRaw(client, haiku("refused", {})), "a job with variables");
  expectStorageProblem(await sendRaw(client, report()), "a job that waits for files");
  expectStorageProblem(await sendRaw(client, report({})), "a job that waits for files, with variables");
}

const listed = async (client: Client): Promise<string[]> =>
  (await client.send("GET", "/v1/jobs?limit=200")).body.jobs.map(
    (job: { request_id: string }) => job.request_id,
  );

async function agentEnded(id: string): Promise<void> {
  const marked = async () => (await site.marks()).some(({ run, mark }) => run === id && mark === "end");
  await expect.poll(marked, { timeout: 60_000 }).toBe(true);
}

/** Every job that was accepted ends without a restart, and one that failed says that it was the storage. */
async function expectAllEnd(client: Client): Promise<void> {
  for (const [id, { remove }] of ledger) {
    if (remove === "done") continue;
    const job = await client.until(id, ended);
    // The agent itself may have had no space.
    if (job.status === "failed" && !/^ENOSPC/.test(job.error.message))
      expect.soft(reasons, JSON.stringify(job.error)).toContain(job.error.code);
  }
  expect(await faultsOf(client, site)).toEqual([]);
}

describe("a full disk", { timeout: 180_000 }, () => {
  test("new jobs and uploads are refused and leave nothing; what was accepted ends when space is back", async (context) => {
    const { fill, free } = await onDiskOf(8, context);
    const client = await start();
    const running = await mustSubmit(client, haiku("one", { before: 700 }), mayFail);
    const queued = [
      await mustSubmit(client, haiku("two", {}), mayFail),
      await mustSubmit(client, haiku("three"), mayFail),
    ];
    const waiting = await mustSubmit(client, report(), mayFail);
    await client.until(running, ["running"]);
    fill();
    const before = await listed(client);
    await expectJobsRefused(client);
    expectStorageProblem(await client.upload(waiting), "an upload");
    expect.soft(await listed(client), "what there is").toEqual(before);
    expect((await client.send("GET", `/v1/jobs/${waiting}`)).body.status).toBe("created");
    // The agent ends while its end cannot be stored, and the next in line gets its turn.
    await agentEnded(running);
    expect((await client.send("GET", "/healthz")).status).toBe(200);
    for (const id of [running, ...queued])
      expect((await client.send("GET", `/v1/jobs/${id}`)).status).toBe(200);
    free();
    expect((await client.upload(waiting)).status).toBe(200);
    await mustSubmit(client, haiku("six"));
    await expectAllEnd(client);
  });

  test("a job is canceled while there is no space: it is told, or canceled; it does not stay for ever", async (context) => {
    const { fill, free } = await onDiskOf(8, context);
    const client = await start();
    const running = await mustSubmit(client, haiku("one", { before: 20_000 }), mayFail);
    const queued = await mustSubmit(client, haiku("two"), mayFail);
    const waiting = await mustSubmit(client, report(), mayFail);
    await client.until(running, ["running"]);
    fill();
    let answered = 0;
    const cancels = [queued, waiting, running].map(async (id) => {
      const answer = await client.send("POST", `/v1/jobs/${id}/cancel`);
      answered += 1;
      if (answer.status !== 200) expectStorageProblem(answer, "a cancel");
      // The running one may have failed for want of space before the cancel came.
      else
        expect
          .soft(answer.body.status, "a cancel")
          .toMatch(id === running ? /^(canceled|failed)$/ : /^canceled$/);
    });
    // Some may be answered while there is no space; the running job's end has to wait for it.
    for (let tries = 0; tries < 100 && answered < cancels.length; tries++) await sleep(20);
    free();
    await Promise.all(cancels);
    for (const id of ledger.keys()) await client.cancel(id);
    await expectAllEnd(client);
  });

  test("killed while it is full and started again: nothing is lost", async (context) => {
    const { fill, free } = await onDiskOf(8, context);
    const client = await start();
    const running = await mustSubmit(client, haiku("one", { before: 400, leave: true }), mayFail);
    await mustSubmit(client, haiku("two", {}), mayFail);
    await mustSubmit(client, report(), mayFail);
    await client.until(running, ["running"]);
    fill();
    await server?.crash();
    const launched = site.launch();
    // It may start and wait for space, or say in one line why it cannot.
    server = await launched.ready.catch((error: Error) => {
      expect(error.message).toMatch(/ended with code 1: .*ENOSPC[^\n]*\n?$/);
      return null;
    });
    free();
    const again = server === null ? await start() : createClient(server.url, ledger);
    await finishWaiting(again);
    await mustSubmit(again, haiku("three"));
    await expectAllEnd(again);
  });

  test("nearly full, so that some writes fit and some are cut short", async (context) => {
    const { fill, free } = await onDiskOf(8, context);
    const client = await start();
    let refused = 0;
    for (let pages = 0; pages < 40; pages += 2) {
      fill(pages * 4096);
      for (const body of [haiku(`${pages}`, {}), report()]) {
        const answer = await sendRaw(client, body);
        if (answer.status === 200) continue;
        refused += 1;
        expectStorageProblem(answer, `a job with ${pages} pages left`);
      }
      const [id = ""] = await listed(client);
      const answer = id === "" ? null : await client.upload(id);
      if (answer !== null && ![200, 409].includes(answer.status))
        expectStorageProblem(answer, `an upload with ${pages} pages left`);
      free();
    }
    expect(refused).toBeGreaterThan(0);
    expect(ledger.size).toBeGreaterThan(10);
    await finishWaiting(client);
    await expectAllEnd(client);
  });
});

describe("a read-only data directory", () => {
  test("what is there can be read, what would change is refused, and all goes on when it can be written", async (context) => {
    const { remount } = await onDiskOf(8, context);
    const client = await start();
    const done = await mustSubmit(client, haiku("one", {}));
    await client.until(done, ["succeeded"]);
    const waiting = await mustSubmit(client, report());
    const gone = await mustSubmit(client, report());
    await expect.poll(() => remounted(() => remount("ro")), { timeout: 20_000 }).toBe(true);
    expect((await client.send("GET", `/v1/jobs/${done}/result`)).status).toBe(200);
    expect((await client.send("GET", `/v1/jobs/${done}/events/history`)).body.events.length).toBeGreaterThan(
      1,
    );
    expect((await client.send("GET", "/readyz")).status).toBe(200);
    await expectJobsRefused(client);
    expectStorageProblem(await sendRaw(client, haiku("one", {})), "a cache hit");
    expectStorageProblem(await client.upload(waiting), "an upload");
    expectStorageProblem(await client.send("POST", `/v1/jobs/${waiting}/cancel`), "a cancel");
    for (const id of [gone, done])
      expectStorageProblem(await client.send("DELETE", `/v1/jobs/${id}`), "a delete");
    expect.soft((await listed(client)).sort(), "what there is").toEqual([done, waiting, gone].sort());
    remount("rw");
    expect((await client.upload(waiting)).status).toBe(200);
    expect.soft((await client.remove(gone)).status, "a delete").toBe(204);
    await mustSubmit(client, haiku("three"));
    await expectAllEnd(client);
  });

  test("a server that is started on one ends with 1 and one line that says why", async (context) => {
    const { remount } = await onDiskOf(8, context);
    const client = await start();
    await client.until(await mustSubmit(client, haiku("one")), ["succeeded"]);
    await server?.crash();
    await expect.poll(() => remounted(() => remount("ro")), { timeout: 20_000 }).toBe(true);
    const launched = site.launch();
    await expect(launched.ready).rejects.toThrow(/ended with code 1: [^\n]*EROFS[^\n]*\n?$/);
    expect(await launched.exited).toBe(1);
    remount("rw");
    await expectAllEnd(await start());
  });
});

/** A file that is just being closed keeps a file system busy. */
function remounted(remount: () => void): boolean {
  try {
    remount();
    return true;
  } catch {
    return false;
  }
}
