import { existsSync } from "node:fs";
import * as fs from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import getSession from "../functions/v1/jobs/[request_id]/auth/session.get.ts";
import cancelJob from "../functions/v1/jobs/[request_id]/cancel.post.ts";
import getEvents from "../functions/v1/jobs/[request_id]/events/history.get.ts";
import postFiles from "../functions/v1/jobs/[request_id]/interaction/reply/files.post.ts";
import postReply from "../functions/v1/jobs/[request_id]/interaction/reply.post.ts";
import { runPaths } from "../lib/runs/paths.ts";
import type { RunnerFunction } from "../runtime/function.ts";
import { type Harness, plainPackage, startHarness } from "./harness.ts";
import { processesOf } from "./marked-processes.ts";
import { answering, refused401, type Scenario } from "./stand-in.ts";

/** What happens to a job in the one moment in which nobody expects it. */
let harness: Harness;
afterEach(() => harness.close());

const asking = (message: string, ui_hints: object = { kind: "open_text" }) => ({
  lines: answering({ __SKILL_DONE__: false, message, ui_hints }),
});
const done = { lines: answering({ ok: true, __SKILL_DONE__: true }) };
const refused = { lines: [refused401(1), refused401(2)], exitCode: 1 };
const noGrace = { SKILL_RUNNER_SHUTDOWN_GRACE_SECONDS: "0" };
/** Begins to work, and waits for its cue. */
const atWork = { onCue: true, lines: answering({ ok: true }).slice(0, 4) };

async function start(scenario: Scenario, env: Record<string, string> = {}): Promise<void> {
  harness = await startHarness({ scenario, env });
  await harness.writeSkill("s", plainPackage("s", { execution_modes: ["auto", "interactive"] }));
}
const submit = async (runtime_options: object = {}, more: object = {}): Promise<string> => {
  const { status, body } = await harness.submit({ skill_id: "s", runtime_options, ...more });
  expect(status, JSON.stringify(body)).toBe(200);
  return body.request_id;
};
const ask = (more: object = {}) => submit({ execution_mode: "interactive", ...more });
const call = (fn: RunnerFunction, id: string, body?: unknown) =>
  harness.call(fn, { params: { request_id: id }, ...(body === undefined ? {} : { body }) });
const cancel = (id: string) => call(cancelJob, id);
const pathsOf = (id: string) => runPaths(harness.config.dataDir, id);
const stepsOf = async (id: string) => {
  const { events } = (await call(getEvents, id)).body;
  return events
    .filter(({ type }: { type: string }) => type === "conversation.state.changed")
    .map(({ data }: { data: { to: string } }) => data.to);
};
const works = async (id: string) => {
  const text = await fs.readFile(pathsOf(id).events, "utf8").catch(() => "");
  return text.includes('"assistant.');
};
const files = () => {
  const form = new FormData();
  const bindings = [{ slot: "notes", file_index: 0 }];
  form.append("metadata", JSON.stringify({ interaction_id: 1, bindings }));
  form.append("files", new Blob(["private"]), "notes.md");
  return form;
};
const upload = { kind: "upload_files", files: ["notes"] };

describe("a cancel", () => {
  test("in the moment in which the job begins to ask cancels it", async () => {
    await start([asking("Which?")]);
    const id = await ask();
    const meta = join(pathsOf(id).root, "turn-1/meta.json");
    while (!existsSync(meta)) await sleep(1);
    expect(await cancel(id)).toMatchObject({ status: 200, body: { status: "canceled", accepted: true } });
  });

  test("while an agent whose login was refused is being ended cancels it", async () => {
    await start([{ ...refused, stubborn: true, waitAfter: 3_000 }], { PROCESS_TERMINATE_GRACE_SEC: "1" });
    const id = await ask();
    const log = join(pathsOf(id).root, "turn-1/stdout.log");
    const printed = async () => (await fs.readFile(log, "utf8").catch(() => "")).includes("2/5");
    while (!(await printed())) await sleep(5);
    await sleep(100);
    expect(await cancel(id)).toMatchObject({ status: 200, body: { status: "canceled", accepted: true } });
    expect(await processesOf(id)).toEqual([]);
  });

  test("that cannot be told yet is neither refused nor forgotten, and nothing runs meanwhile", async () => {
    await start([atWork], { SKILL_RUNNER_MAX_CONCURRENT_HARD_CAP: "1", ...noGrace });
    const first = await submit({ no_cache: true });
    await harness.reaches(first, "running");
    const id = await submit({ no_cache: true });
    const { events } = pathsOf(id);
    await fs.mkdir(dirname(events), { recursive: true });
    await fs.symlink("/dev/full", events);
    let answered = false;
    const canceled = cancel(id).finally(() => {
      answered = true;
    });
    await sleep(500);
    expect(answered).toBe(false);
    // The log that was opened is the device: its events are lost with it, the record is not.
    await fs.rm(events);
    await harness.crash();
    expect(await harness.reaches(id, "canceled")).toMatchObject({ status: "canceled" });
    expect((await stepsOf(id)).at(-1)).toBe("canceled");
    await canceled.catch(() => undefined);
    await cancel(first);
  });
});

describe("a job that could not be taken up after a restart", () => {
  const withoutLog = async (id: string, act: () => Promise<void>) => {
    const { events } = pathsOf(id);
    await harness.restart(async () => {
      await fs.rename(events, `${events}.kept`);
      await fs.mkdir(events);
    });
    await act();
    await fs.rmdir(events);
    await fs.rename(`${events}.kept`, events);
  };

  test("refuses what cannot be done yet, and runs once when it is answered before the next try", async () => {
    await start([asking("Which?"), { ...done, waitBefore: 6_000 }]);
    const id = await ask();
    await harness.reaches(id, "waiting_user");
    const reply = { interaction_id: 1, response: "a" };
    await withoutLog(id, async () => {
      expect(await call(postReply, id, reply)).toMatchObject({
        status: 503,
        body: { code: "STORAGE_FAILED" },
      });
    });
    expect((await call(postReply, id, reply)).status).toBe(200);
    expect((await harness.ended(id)).status).toBe("succeeded");
    expect(await harness.calls()).toHaveLength(2);
    expect(await stepsOf(id)).toEqual(["running", "waiting_user", "queued", "running", "succeeded"]);
  }, 30_000);

  test("as its log cannot be written keeps no other from being served, and goes on when it can", async () => {
    await start([atWork, done], noGrace);
    const id = await submit({ no_cache: true });
    await expect.poll(() => works(id), { timeout: 5_000 }).toBe(true);
    const record = join(harness.config.dataDir, "state/active", id);
    const jotted = async () => JSON.parse(await fs.readFile(record, "utf8")).status;
    await expect.poll(jotted, { timeout: 5_000 }).toBe("running");
    const { events } = pathsOf(id);
    await harness.crash(async () => {
      await fs.rename(events, `${events}.kept`);
      await fs.symlink("/dev/full", events);
    });
    await harness.scenario([done]);
    const other = await submit({ no_cache: true });
    expect((await harness.ended(other)).status).toBe("succeeded");
    await fs.rm(events);
    await fs.rename(`${events}.kept`, events);
    expect((await harness.ended(id)).status).toBe("succeeded");
    expect(await stepsOf(id)).toEqual(["running", "queued", "running", "succeeded"]);
  }, 30_000);

  test("whose agent is not configured any more fails with a reason", async () => {
    await start([atWork], noGrace);
    const id = await submit();
    await expect.poll(() => works(id), { timeout: 5_000 }).toBe(true);
    const record = join(harness.config.dataDir, "state/active", id);
    const jotted = async () => JSON.parse(await fs.readFile(record, "utf8")).status;
    await expect.poll(jotted, { timeout: 5_000 }).toBe("running");
    await harness.crash(async () => {
      const stored = JSON.parse(await fs.readFile(record, "utf8"));
      await fs.writeFile(record, JSON.stringify({ ...stored, engine: "an-agent-of-before" }));
    });
    expect(await harness.ended(id)).toMatchObject({
      status: "failed",
      error: { code: "ORCHESTRATOR_RESTART_INTERRUPTED" },
    });
  });
});

describe("a reply", () => {
  test("that cannot be told yet counts, with its files, also after a crash", async () => {
    await start([asking("Which?", upload), done]);
    const id = await ask();
    await harness.reaches(id, "waiting_user");
    const { events, workspace } = pathsOf(id);
    await harness.services.runs.authSession(id);
    await sleep(100);
    await fs.rename(events, `${events}.kept`);
    await fs.symlink("/dev/full", events);
    const replied = call(postFiles, id, files()).catch(() => undefined);
    const record = join(harness.config.dataDir, "state/active", id);
    const stored = async () => JSON.parse(await fs.readFile(record, "utf8")).status;
    await expect.poll(stored, { timeout: 5_000 }).toBe("queued");
    await fs.rm(events);
    await fs.rename(`${events}.kept`, events);
    await harness.crash();
    expect((await harness.ended(id)).status).toBe("succeeded");
    const prompt = (await harness.calls()).at(-1)?.prompt ?? "";
    const [file = "none"] = /uploads\S+/.exec(prompt) ?? [];
    expect(await fs.readFile(join(workspace, file), "utf8")).toBe("private");
    await replied;
  }, 20_000);

  test("of files stays in the workspace, whatever link the agent has left there", async () => {
    await start([asking("Which?", upload), done]);
    const id = await ask();
    await harness.reaches(id, "waiting_user");
    const outside = join(harness.folder, "outside");
    await fs.mkdir(outside);
    await fs.mkdir(pathsOf(id).uploads, { recursive: true });
    await fs.symlink(outside, join(pathsOf(id).uploads, ".interaction-replies"));
    expect((await call(postFiles, id, files())).status).toBe(200);
    expect((await harness.ended(id)).status).toBe("succeeded");
    expect(await fs.readdir(outside)).toEqual([]);
  });

  test("that is blank is refused: some CLIs end at an empty prompt", async () => {
    await start([asking("Which?")]);
    const id = await ask();
    await harness.reaches(id, "waiting_user");
    const blank = await call(postReply, id, { interaction_id: 1, response: " \n" });
    expect(blank).toMatchObject({ status: 422, body: { code: "REQUEST_INVALID" } });
    await cancel(id);
  });
});

describe("an agent that asks", () => {
  test("for ever, of nobody, is ended after ten answers of its own", async () => {
    await start([asking("Which?")]);
    const id = await submit(
      { execution_mode: "interactive" },
      { client_metadata: { conversation_mode: "non_session" } },
    );
    expect(await harness.ended(id)).toMatchObject({
      status: "failed",
      auto_decision_count: 10,
      error: { code: "INTERACTIVE_MAX_ATTEMPT_EXCEEDED" },
    });
    expect(await harness.calls()).toHaveLength(11);
  }, 20_000);

  test("in a way that cannot be written down asks all the same", async () => {
    const deep = `${"[".repeat(20_000)}${"]".repeat(20_000)}`;
    const answer = `{"__SKILL_DONE__": false, "message": "Which?", "ui_hints": {"x": ${deep}, "kind": "open_text"}}`;
    await start([{ lines: answering(answer) }]);
    const id = await ask();
    expect((await harness.reaches(id, "waiting_user")).pending_interaction_id).toBe(1);
    expect(await cancel(id)).toMatchObject({ status: 200, body: { status: "canceled" } });
  });
});

describe("a job that waits for a login", () => {
  const session = async (id: string) => (await call(getSession, id)).body;
  const select = (id: string, value: string) =>
    call(postReply, id, { mode: "auth", selection: { kind: "auth_method", value } });
  const prefix = () => join(harness.folder, "npm");

  test("sees one that was made while its agent was being refused", async () => {
    await start([{ ...refused, waitBefore: 800 }, done]);
    const id = await ask({ auth_wait_timeout_sec: 10 });
    await harness.reaches(id, "running");
    await sleep(300);
    await fs.mkdir(join(harness.folder, "home/.codex"), { recursive: true });
    await fs.writeFile(join(harness.folder, "home/.codex/auth.json"), '{"tokens":{}}');
    expect((await harness.ended(id)).status).toBe("succeeded");
  }, 20_000);

  test("is not begun again and again by an agent that writes its own login while it is refused", async () => {
    await start([refused]);
    const bin = join(harness.folder, "npm/bin");
    const auth = join(harness.folder, "home/.codex/auth.json");
    await fs.mkdir(dirname(auth), { recursive: true });
    await fs.rename(join(bin, "codex"), join(bin, "codex-itself"));
    const refresh = `[ "$1" = exec ] && date +%N > ${auth}`;
    const wrapper = `#!/bin/sh\n${refresh}\nexec ${process.execPath} ${bin}/codex-itself "$@"\n`;
    await fs.writeFile(join(bin, "codex"), wrapper, { mode: 0o755 });
    const id = await ask({ auth_wait_timeout_sec: 30 });
    await harness.reaches(id, "waiting_auth");
    await sleep(7_000);
    expect((await call(getSession, id)).body.waiting_auth).toBe(true);
    // Once it was taken for a login.
    expect(await harness.calls()).toHaveLength(2);
    await cancel(id);
  }, 20_000);

  test("says after a restart that its code is worth nothing any more", async () => {
    await start([refused, done]);
    await fs.copyFile("tests/fixtures/codex/device-login.txt", join(prefix(), "login.txt"));
    const id = await ask({ auth_wait_timeout_sec: 30 });
    await harness.reaches(id, "waiting_auth");
    await select(id, "device_code");
    await expect.poll(async () => (await session(id)).user_code, { timeout: 5_000 }).not.toBeNull();
    await harness.restart();
    expect(await session(id)).toMatchObject({
      waiting_auth: true,
      phase: "method_selection",
      selected_method: null,
      user_code: null,
      auth_url: null,
      last_error: expect.stringContaining("restarted"),
    });
    await select(id, "device_code");
    await expect.poll(async () => (await session(id)).user_code, { timeout: 5_000 }).not.toBeNull();
    await cancel(id);
  }, 20_000);

  test("hears nothing more of a device login once another way was selected", async () => {
    await start([refused, done]);
    await fs.writeFile(join(prefix(), "login.txt"), "nothing\n");
    const id = await ask({ auth_wait_timeout_sec: 20 });
    await harness.reaches(id, "waiting_auth");
    await select(id, "device_code");
    await sleep(200);
    await select(id, "api_key");
    await fs.writeFile(join(prefix(), "confirmed"), "");
    await sleep(700);
    expect(await session(id)).toMatchObject({
      phase: "challenge_active",
      selected_method: "api_key",
      last_error: null,
    });
    const submission = { kind: "api_key", value: "sk-\u0000x" };
    const { auth_session_id } = await session(id);
    const nul = await call(postReply, id, { mode: "auth", auth_session_id, submission });
    expect(nul).toMatchObject({ status: 422, body: { code: "REPLY_INVALID" } });
    await cancel(id);
  });
});

describe("a job that a restart cut off in its work", () => {
  test("keeps its variables until its end is on disk", async () => {
    await start([atWork, done]);
    const id = await submit({ env: { MY_KEY: "secret" } });
    await expect.poll(() => works(id), { timeout: 5_000 }).toBe(true);
    // Its end has nowhere to go.
    const ended = join(harness.config.dataDir, "state/runs");
    await fs.rm(ended, { recursive: true, force: true });
    await fs.writeFile(ended, "");
    await harness.cue(id, done);
    const printed = async () => existsSync(pathsOf(id).result);
    await expect.poll(printed, { timeout: 5_000 }).toBe(true);
    await sleep(200);
    await harness.crash(() => fs.rm(ended));
    expect((await harness.ended(id)).status).toBe("succeeded");
    expect((await harness.calls()).map(({ env }) => env.MY_KEY)).toEqual(["secret", "secret"]);
  }, 20_000);

  test("fails when its skill was replaced meanwhile, and leaves nothing in the cache of the new one", async () => {
    await start([atWork, done], noGrace);
    const id = await submit();
    await expect.poll(() => works(id), { timeout: 5_000 }).toBe(true);
    await harness.restart(() => harness.writeSkill("s", { "references/new.md": "Another version." }));
    expect(await harness.ended(id)).toMatchObject({ status: "failed", error: { code: "SKILL_REPLACED" } });
    expect((await harness.submit({ skill_id: "s" })).body.cache_hit).toBe(false);
  });
});

test("what an agent starts in a session of its own ends with its turn, sandbox or not", async () => {
  await start([done], { LANDLOCK_ENABLED: "1" });
  const bin = join(harness.folder, "npm/bin");
  await fs.rename(join(bin, "codex"), join(bin, "codex-itself"));
  const helper = "setsid sleep 77 >/dev/null 2>&1 </dev/null &";
  const wrapper = `#!/bin/sh\n[ "$1" = exec ] && ${helper}\nexec ${process.execPath} ${bin}/codex-itself "$@"\n`;
  await fs.writeFile(join(bin, "codex"), wrapper, { mode: 0o755 });
  const id = await submit();
  expect((await harness.ended(id)).status).toBe("succeeded");
  expect(await processesOf(id)).toEqual([]);
});

test("a server that is told to stop while it starts does not become ready", async () => {
  await start([done]);
  const { services } = harness;
  await services.stop();
  await services.start().catch(() => undefined);
  expect(services.ready()).toEqual({ ready: false, reason: "stopping" });
});

test("a caller who waits for a job's end is answered when the server stops", async () => {
  await start([atWork], noGrace);
  const id = await submit();
  const waited = harness.services.runs.settled(id, 60_000, new AbortController().signal);
  await harness.reaches(id, "running");
  await harness.services.stop();
  expect(await waited).toMatchObject({ request_id: id });
});
