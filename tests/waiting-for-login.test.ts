import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { answerJob } from "../functions/_shared/prefer-wait.ts";
import getSession from "../functions/v1/jobs/[request_id]/auth/session.get.ts";
import cancelJob from "../functions/v1/jobs/[request_id]/cancel.post.ts";
import getChat from "../functions/v1/jobs/[request_id]/chat/history.get.ts";
import getEvents from "../functions/v1/jobs/[request_id]/events/history.get.ts";
import postImport from "../functions/v1/jobs/[request_id]/interaction/auth/import.post.ts";
import getPending from "../functions/v1/jobs/[request_id]/interaction/pending.get.ts";
import postReply from "../functions/v1/jobs/[request_id]/interaction/reply.post.ts";
import type { Caller } from "../runtime/function.ts";
import { type Harness, isAlone, plainPackage, startHarness } from "./harness.ts";
import { processesOf } from "./marked-processes.ts";
import { answering, refused401, type Scenario, thread } from "./stand-in.ts";

type Key = NonNullable<Caller>;

let harness: Harness;
afterEach(() => harness.close());

const refused = { lines: [refused401(1), refused401(2)], exitCode: 1 };
const done = { lines: answering({ ok: true, __SKILL_DONE__: true }) };
const secret = "sk-handed-in-by-a-caller";

async function start(scenario: Scenario): Promise<void> {
  harness = await startHarness({ scenario });
  await harness.writeSkill("s", plainPackage("s", { execution_modes: ["auto", "interactive"] }));
}
const submit = async (runtime_options: object = { execution_mode: "interactive" }, more: object = {}) => {
  const { status, body } = await harness.submit({ skill_id: "s", runtime_options, ...more });
  expect(status, JSON.stringify(body)).toBe(200);
  return body.request_id as string;
};
const params = (id: string) => ({ params: { request_id: id } });
const session = async (id: string) => (await harness.call(getSession, params(id))).body;
const run: Key = { name: "ci", scope: "run" };
const admin: Key = { name: "ops", scope: "admin" };
/** @param caller none: the server has no keys */
const answer = (id: string, body: object, caller?: Key) =>
  harness.call(postReply, { ...params(id), body: { mode: "auth", ...body }, ...(caller && { caller }) });
const eventsOf = async (id: string) => (await harness.call(getEvents, params(id))).body.events;
const typesOf = async (id: string) => (await eventsOf(id)).map((event: { type: string }) => event.type);

describe("a job whose agent is not logged in", () => {
  test("waits, takes a key for itself alone, and is sent again as it was", async () => {
    await start([refused, done]);
    const id = await submit();
    expect(await harness.reaches(id, "waiting_auth")).toMatchObject({
      pending_auth_session_id: expect.any(String),
      error: null,
    });
    const waiting = await session(id);
    expect(waiting).toMatchObject({ waiting_auth: true, timeout_sec: 900, source_attempt: 1 });
    const { auth_session_id } = waiting;
    const { pending_auth } = (await harness.call(getPending, params(id))).body;
    expect(pending_auth).toMatchObject({ auth_session_id, engine: "codex", prompt: expect.any(String) });

    const wrong = await answer(id, {
      auth_session_id: "other",
      submission: { kind: "api_key", value: secret },
    });
    expect(wrong).toMatchObject({ status: 409, body: { code: "STALE_INTERACTION" } });
    const empty = await answer(id, { auth_session_id, submission: { kind: "api_key", value: " " } });
    expect(empty).toMatchObject({ status: 422, body: { code: "REPLY_INVALID" } });
    const good = await answer(id, { auth_session_id, submission: { kind: "api_key", value: secret } });
    expect(good).toMatchObject({ status: 200, body: { status: "queued", accepted: true, mode: "auth" } });

    expect(await harness.ended(id)).toMatchObject({ status: "succeeded", current_attempt: 2 });
    const [first, second] = await harness.calls();
    expect(second?.prompt).toBe(first?.prompt);
    expect(Object.values(second?.env ?? {})).toContain(secret);
    expect(await typesOf(id)).toEqual(
      expect.arrayContaining(["auth.required", "auth.input.accepted", "auth.completed"]),
    );
    expect(JSON.stringify(await eventsOf(id))).not.toContain(secret);
    expect((await session(id)).waiting_auth).toBe(false);
  });

  test("in the middle of its work goes on in its session", async () => {
    await start([{ ...refused, lines: [...answering({}).slice(0, 4), ...refused.lines] }, done]);
    const id = await submit();
    const { pending_auth_session_id: auth_session_id } = await harness.reaches(id, "waiting_auth");
    await answer(id, { auth_session_id, submission: { kind: "retry" } });
    expect((await harness.ended(id)).status).toBe("succeeded");
    const second = (await harness.calls()).at(-1);
    expect(second?.args).toEqual(expect.arrayContaining(["resume", thread]));
    expect(second?.prompt).toMatch(/cut off/);
  });

  test("fails when nobody logs in within its time", async () => {
    await start([refused]);
    const id = await submit({ execution_mode: "interactive", auth_wait_timeout_sec: 1 });
    await harness.reaches(id, "waiting_auth");
    expect(await harness.ended(id)).toMatchObject({ status: "failed", error: { code: "AUTH_REQUIRED" } });
    expect(await typesOf(id)).toContain("auth.failed");
  });

  test.runIf(isAlone)("waits over a restart, and can be canceled", async () => {
    await start([refused]);
    const id = await submit();
    await harness.reaches(id, "waiting_auth");
    await harness.restart();
    expect(await harness.reaches(id, "waiting_auth")).toMatchObject({ recovery_state: "recovered_waiting" });
    const { body } = await harness.call(cancelJob, { ...params(id), method: "POST" });
    expect(body).toMatchObject({ status: "canceled", accepted: true });
  });

  test("fails at once in auto mode, unless it says that it waits; never waits without a session", async () => {
    await start([refused]);
    expect(await harness.ended(await submit({}))).toMatchObject({ error: { code: "AUTH_REQUIRED" } });
    await harness.reaches(await submit({ auth_wait_timeout_sec: 60 }), "waiting_auth");
    const alone = { client_metadata: { conversation_mode: "non_session" } };
    expect(await harness.ended(await submit({ auth_wait_timeout_sec: 60 }, alone))).toMatchObject({
      status: "failed",
      error: { code: "AUTH_REQUIRED" },
    });
  });
});

describe("a waiting job goes on when its agent is logged in", () => {
  const login = '{"tokens":{"access_token":"secret-of-the-login"}}';
  const home = (path: string) => join(harness.folder, "home", path);

  test("with credential files that were sent: they stay for every later job", async () => {
    await start([refused, done]);
    const id = await submit();
    await harness.reaches(id, "waiting_auth");
    const send = (name: string, content: string) => {
      const body = new FormData();
      body.append("files", new Blob([content]), name);
      return harness.call(postImport, { ...params(id), body });
    };
    expect(await send("other.json", login)).toMatchObject({
      status: 422,
      body: { code: "CREDENTIALS_INVALID" },
    });
    expect((await session(id)).waiting_auth).toBe(true);
    expect(await send("auth.json", login)).toMatchObject({
      status: 200,
      body: { status: "queued", mode: "auth", imported_files: ["auth.json"] },
    });
    expect((await harness.ended(id)).status).toBe("succeeded");
    expect(await readFile(home(".codex/auth.json"), "utf8")).toBe(login);
    expect(JSON.stringify(await eventsOf(id))).not.toContain("secret-of-the-login");
  });

  test("by somebody in a terminal: the server looks", async () => {
    await start([refused, done]);
    const id = await submit();
    await harness.reaches(id, "waiting_auth");
    await mkdir(home(".codex"), { recursive: true });
    await writeFile(home(".codex/auth.json"), login);
    expect((await harness.ended(id)).status).toBe("succeeded");
    expect(await typesOf(id)).toContain("auth.completed");
  });

  test("by a device code, which the CLI's own login gives", async () => {
    await start([refused, done]);
    const id = await submit();
    await copyFile(
      join(import.meta.dirname, "fixtures/codex/device-login.txt"),
      join(harness.config.npmPrefix, "login.txt"),
    );
    const { available_methods } = (await harness.reaches(id, "waiting_auth")) && (await session(id));
    expect(available_methods.map(({ method }: { method: string }) => method)).toEqual([
      "device_code",
      "import_files",
      "api_key",
      "terminal",
    ]);
    const selection = { kind: "auth_method", value: "device_code" };
    // The login of all jobs: as with credential files, not for whoever may send some.
    expect(await answer(id, { selection }, run)).toMatchObject({
      status: 403,
      body: { code: "FORBIDDEN", detail: expect.stringContaining("scope admin") },
    });
    expect(await answer(id, { selection }, admin)).toMatchObject({
      status: 200,
      body: { status: "waiting_auth" },
    });
    await expect.poll(async () => (await session(id)).user_code).toBe("ABCD-12345");
    expect(await session(id)).toMatchObject({
      phase: "challenge_active",
      selected_method: "device_code",
      auth_url: "https://auth.openai.com/codex/device",
      pending_owner: "waiting_auth.challenge_active",
    });
    const code = "ABCD-12345";
    const told = async (caller?: Key) => {
      const call = { ...params(id), ...(caller && { caller }) };
      const answers = [getSession, getPending, getEvents, getChat].map((get) => harness.call(get, call));
      const bodies: unknown[] = (await Promise.all(answers)).map(({ body }) => body);
      const waits = new Request("http://localhost/v1/jobs", { headers: { prefer: "wait=1" } });
      const { runs } = harness.services;
      bodies.unshift(await (await answerJob(waits, runs, { request_id: id }, caller ?? null)).json());
      return bodies.map((body) => JSON.stringify(body).includes(code));
    };
    // Events and chat are for everybody who may read.
    expect(await told()).toEqual([true, true, true, false, false]);
    expect(await told(admin)).toEqual([true, true, true, false, false]);
    expect(await told(run)).toEqual([false, false, false, false, false]);
    expect(await told({ name: "r", scope: "read" })).toEqual([false, false, false, false, false]);
    expect((await harness.call(getChat, params(id))).body.events.at(-1).text).toContain("auth/session");
    await writeFile(join(harness.config.npmPrefix, "confirmed"), "");
    expect((await harness.ended(id)).status).toBe("succeeded");
    expect(await typesOf(id)).toContain("auth.challenge.updated");
  });

  test("a device login that fails says why, and one of a canceled job is ended", async () => {
    await start([refused]);
    const id = await submit();
    await harness.reaches(id, "waiting_auth");
    const selection = { kind: "auth_method", value: "device_code" };
    await answer(id, { selection });
    await expect.poll(async () => (await session(id)).last_error).toMatch(/showed no code before it ended/);
    await writeFile(join(harness.config.npmPrefix, "login.txt"), "");
    await answer(id, { selection });
    await expect.poll(async () => (await processesOf(id)).length).toBeGreaterThan(0);
    await harness.call(cancelJob, { ...params(id), method: "POST" });
    await expect.poll(() => processesOf(id)).toEqual([]);
  });
});

test("a login nobody waits for is refused", async () => {
  await start([done]);
  const id = await submit({});
  await harness.ended(id);
  const late = await answer(id, { auth_session_id: "x", submission: { kind: "retry" } });
  expect(late).toMatchObject({ status: 409, body: { code: "JOB_STATE_CONFLICT" } });
  const both = { selection: { kind: "auth_method", value: "api_key" }, submission: { kind: "retry" } };
  expect(await answer(id, both)).toMatchObject({ status: 422, body: { code: "REQUEST_INVALID" } });
});
