import { chmod, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import cancelJob from "../functions/v1/jobs/[request_id]/cancel.post.ts";
import getHistory from "../functions/v1/jobs/[request_id]/events/history.get.ts";
import getJob from "../functions/v1/jobs/[request_id]/index.get.ts";
import getLogs from "../functions/v1/jobs/[request_id]/logs/index.get.ts";
import getResult from "../functions/v1/jobs/[request_id]/result.get.ts";
import { type Harness, type HarnessOptions, isAlone, plainPackage, startHarness } from "./harness.ts";
import { processesOf } from "./marked-processes.ts";
import { answering, refused401, thread } from "./stand-in.ts";

let harness: Harness;
afterEach(() => harness.close());

async function start(options: HarnessOptions = {}): Promise<Harness> {
  harness = await startHarness(options);
  await harness.writeSkill("s", plainPackage("s"));
  return harness;
}

async function runOnce(body: object = {}) {
  const { status, body: accepted } = await harness.submit({ skill_id: "s", ...body });
  expect({ status, accepted }).toMatchObject({ status: 200 });
  return { id: accepted.request_id, job: await harness.ended(accepted.request_id) };
}

describe("a run that goes well", () => {
  test("gives checked data, its artifact, usage and the whole story", async () => {
    await start({
      scenario: [
        { lines: answering({ ok: true, report: "artifacts/r.md" }), files: { "artifacts/r.md": "# R" } },
      ],
    });
    const { id, job } = await runOnce({ model: "gpt-5.5@high" });
    expect(job).toMatchObject({
      status: "succeeded",
      error: null,
      current_attempt: 1,
      turns: 1,
      model: "gpt-5.5",
      effort: "high",
      session_id: thread,
      cli_version: "0.169.0",
      usage: { input_tokens: 1000, output_tokens: 50 },
    });
    expect(await harness.result(id)).toEqual({
      status: "success",
      data: { ok: true, report: "artifacts/r.md" },
      artifacts: ["artifacts/r.md"],
      artifact_details: [{ path: "artifacts/r.md", role: "report", bytes: 3 }],
      validation_warnings: [],
      error: null,
      repair_level: "none",
    });
    const { body: history } = await harness.call(getHistory, { params: { request_id: id } });
    expect(history.events.map((event: { seq: number }) => event.seq)).toEqual(
      history.events.map((_: unknown, n: number) => n + 1),
    );
    expect(history.events.map((event: { type: string }) => event.type)).toEqual([
      "conversation.state.changed",
      "assistant.command_execution",
      "assistant.command_execution",
      "assistant.message.intermediate",
      "assistant.message.final",
      "conversation.state.changed",
    ]);
    expect(history.events.at(-1).data).toMatchObject({
      from: "running",
      to: "succeeded",
      terminal: { status: "succeeded" },
    });
  });

  test("hands the agent its prompt on stdin, a skill folder it knows, and no secret of the server", async () => {
    await start({ env: { OPENAI_API_KEY: "sk-test" } });
    await harness.scenario([{ lines: answering({ ok: true }) }]);
    const { id } = await runOnce({
      runtime_options: { env: { MY_TOKEN: "t-1" }, preamble_prompt: "Be brief." },
    });
    const [call] = await harness.calls();
    expect(call?.prompt).toContain("$s");
    expect(call?.prompt).toContain("Be brief.");
    expect(call?.args.join(" ")).not.toContain("Be brief.");
    expect(call?.env).toMatchObject({ MY_TOKEN: "t-1", OPENAI_API_KEY: "sk-test", SKILL_RUNNER_RUN_ID: id });
    expect(call?.env).not.toHaveProperty("SECRET_OF_THE_SERVER");
    const skillFile = join(call?.cwd ?? "", ".agents/skills/s/SKILL.md");
    expect(await readFile(skillFile, "utf8")).toContain("artifacts/");
    expect(call?.env.GIT_CEILING_DIRECTORIES).toBe(join(call?.cwd ?? "", ".."));
  });

  test("keeps the run's env out of everything that is stored or shown", async () => {
    await start({ scenario: [{ lines: answering({ ok: true }), waitBefore: 300 }] });
    const { body } = await harness.submit({
      skill_id: "s",
      runtime_options: { env: { MY_TOKEN: "t-secret-1" } },
    });
    await harness.ended(body.request_id);
    const files = await readdir(join(harness.folder, "data"), { recursive: true, withFileTypes: true });
    for (const file of files.filter((entry) => entry.isFile())) {
      expect(await readFile(join(file.parentPath, file.name), "utf8"), file.name).not.toContain("t-secret-1");
    }
  });

  test("a plain Agent Skill takes free text and gives free text", async () => {
    await start({
      scenario: [{ lines: answering("An old silent pond"), files: { "artifacts/poem.txt": "pond" } }],
    });
    const { id, job } = await runOnce({ skill_id: "haiku", input: { prompt: "a pond" } });
    expect(job.status).toBe("succeeded");
    expect(await harness.result(id)).toMatchObject({
      data: { text: "An old silent pond" },
      artifacts: ["artifacts/poem.txt"],
    });
  });
});

describe("an answer that does not fit", () => {
  test("is mended in the same session, with the errors as the prompt", async () => {
    await start({ scenario: [{ lines: answering({ ok: "yes" }) }, { lines: answering({ ok: true }) }] });
    const { id, job } = await runOnce();
    expect(job).toMatchObject({ status: "succeeded", turns: 2, current_attempt: 1 });
    const calls = await harness.calls();
    expect(calls[1]?.args).toEqual(expect.arrayContaining(["resume", thread]));
    expect(calls[1]?.prompt).toMatch(/\/ok/);
    expect((await harness.result(id)).validation_warnings).toMatchObject([
      { code: "OUTPUT_SCHEMA_REPAIR_CONVERGED" },
    ]);
    const first = await harness.call(getLogs, { params: { request_id: id }, query: { turn: "1" } });
    expect(first.body.stdout).toContain("yes");
  });

  test("fails after the bounded number of repair turns, with every issue", async () => {
    await start({
      env: { SKILL_RUNNER_MAX_REPAIR_TURNS: "2" },
      scenario: [{ lines: answering({ ok: 1, extra: true }) }],
    });
    const { id, job } = await runOnce();
    expect(job).toMatchObject({
      status: "failed",
      turns: 3,
      error: { code: "OUTPUT_SCHEMA_REPAIR_EXHAUSTED" },
    });
    const pointers = job.error.issues.map((issue: { pointer: string }) => issue.pointer);
    expect(pointers).toEqual(expect.arrayContaining(["/ok", "/extra"]));
    expect(await harness.result(id)).toMatchObject({
      status: "failed",
      data: null,
      error: { code: "OUTPUT_SCHEMA_REPAIR_EXHAUSTED" },
    });
  });

  test("that is wrapped in prose is found", async () => {
    await start({
      scenario: [{ lines: answering('Done:\n```json\n{"ok": true, "__SKILL_DONE__": true}\n```') }],
    });
    const { id } = await runOnce();
    expect(await harness.result(id)).toMatchObject({
      data: { ok: true },
      repair_level: "deterministic_generic",
    });
  });

  test("may be in the file the skill names instead", async () => {
    await start({
      scenario: [{ lines: answering("See the file."), files: { "out/s.result.json": '{"ok": true}' } }],
    });
    const { id, job } = await runOnce();
    expect(job).toMatchObject({ turns: 1, warnings: [{ code: "OUTPUT_FROM_FILE" }] });
    expect((await harness.result(id)).data).toEqual({ ok: true });
  });

  test.each([
    ["does not exist", "artifacts/none.md"],
    ["lies outside the workspace", "/etc/hostname"],
    ["climbs out", "../../../../../../../../etc/hostname"],
  ])("an artifact that %s is a reason for a repair turn", async (_why, report) => {
    await start({
      scenario: [
        { lines: answering({ ok: true, report }) },
        { lines: answering({ ok: true, report: "artifacts/r.md" }), files: { "artifacts/r.md": "x" } },
      ],
    });
    const { id, job } = await runOnce();
    expect(job).toMatchObject({ status: "succeeded", turns: 2 });
    expect((await harness.result(id)).artifacts).toEqual(["artifacts/r.md"]);
  });
});

describe("an agent that fails", () => {
  test.each([
    ["exits with a code", { stderr: "boom", exitCode: 3 }, "PROCESS_EXIT_NONZERO"],
    ["says nothing and exits with 0", {}, "AGENT_OUTPUT_MISSING"],
    ["prints garbage", { lines: ["\u0000\u0001\u001b[31m", "{{{", "[]"] }, "AGENT_OUTPUT_MISSING"],
    ["prints 50 MB without a newline", { endlessLine: 50 * 1024 * 1024 }, "AGENT_OUTPUT_MISSING"],
    [
      "tells that the model failed",
      { lines: ['{"type":"turn.failed","error":{"message":"503 Service Unavailable"}}'], exitCode: 1 },
      "MODEL_ERROR",
    ],
    [
      "answers and then exits with a code",
      { lines: answering({ ok: true }), exitCode: 9 },
      "PROCESS_EXIT_NONZERO",
    ],
  ])("%s", async (_how, turn, code) => {
    await start({ scenario: [turn] });
    const { id, job } = await runOnce();
    expect(job).toMatchObject({ status: "failed", error: { code, message: expect.any(String) } });
    expect(await harness.result(id)).toMatchObject({ status: "failed", error: { code } });
  });

  test("is ended early when the model refuses the sign-in", async () => {
    await start({ scenario: [{ lines: [refused401(1), refused401(2)], waitAfter: 30_000 }] });
    const started = Date.now();
    const { job } = await runOnce();
    expect(job.error.code).toBe("AUTH_REQUIRED");
    expect(Date.now() - started).toBeLessThan(10_000);
  });

  test("is ended, with all its children, after the hard timeout", async () => {
    await start({
      scenario: [{ stubborn: true, leaveChild: true, waitBefore: 60_000 }],
      env: { PROCESS_TERMINATE_GRACE_SEC: "0.3" },
    });
    const { id, job } = await runOnce({ runtime_options: { hard_timeout_seconds: 1 } });
    expect(job).toMatchObject({ status: "failed", error: { code: "TIMEOUT" } });
    expect(await processesOf(id)).toEqual([]);
  });

  test("does not hold the run open with a child it left behind", async () => {
    await start({ scenario: [{ lines: answering({ ok: true }), leaveChild: true }] });
    const { id, job } = await runOnce();
    expect(job.status).toBe("succeeded");
    expect(await processesOf(id)).toEqual([]);
  });

  test("that goes on with another session is not believed", async () => {
    const other = answering({ ok: true }).map((line) =>
      line.replace(thread, "01a20ebf-0000-7000-8000-000000000000"),
    );
    await start({ scenario: [{ lines: answering({ ok: "no" }) }, { lines: other }] });
    const { job } = await runOnce();
    expect(job.error.code).toBe("SESSION_RESUME_FAILED");
  });
});

describe("cancel", () => {
  test("ends a running job and its processes, and says so when both are true", async () => {
    await start({ scenario: [{ leaveChild: true, waitBefore: 60_000 }] });
    const { body } = await harness.submit({ skill_id: "s" });
    const id = body.request_id;
    while ((await processesOf(id)).length < 2) await sleep(20);
    const canceled = await harness.call(cancelJob, { params: { request_id: id }, method: "POST" });
    expect(canceled.body).toMatchObject({ request_id: id, run_id: id, status: "canceled", accepted: true });
    expect(await processesOf(id)).toEqual([]);
    expect(await harness.result(id)).toMatchObject({
      status: "canceled",
      error: { code: "CANCELED_BY_USER" },
    });
    const again = await harness.call(cancelJob, { params: { request_id: id }, method: "POST" });
    expect(again).toMatchObject({ status: 200, body: { status: "canceled", accepted: false } });
  });

  test("takes a queued job out of the queue", async () => {
    await start({
      env: { SKILL_RUNNER_MAX_CONCURRENT_HARD_CAP: "1" },
      scenario: [{ lines: answering({ ok: true }), waitBefore: 1_500 }],
    });
    const first = (await harness.submit({ skill_id: "s", parameter: {} })).body.request_id;
    const second = (await harness.submit({ skill_id: "s", runtime_options: { no_cache: true } })).body
      .request_id;
    const canceled = await harness.call(cancelJob, { params: { request_id: second }, method: "POST" });
    expect(canceled.body).toMatchObject({ status: "canceled", accepted: true });
    expect((await harness.ended(first)).status).toBe("succeeded");
    expect(await harness.calls()).toHaveLength(1);
  });
});

describe("the queue", () => {
  test.runIf(isAlone)(
    "counts a waiting job as queued, and refuses one too many before anything is written",
    async () => {
      await start({
        env: { SKILL_RUNNER_MAX_CONCURRENT_HARD_CAP: "1", SKILL_RUNNER_MAX_QUEUE_SIZE: "2" },
        scenario: [{ lines: answering({ ok: true }), waitBefore: 1_000 }],
      });
      const send = () => harness.submit({ skill_id: "s", runtime_options: { no_cache: true } });
      const first = await send();
      while (
        (await harness.call(getJob, { params: { request_id: first.body.request_id } })).body.status !==
        "running"
      )
        await sleep(10);
      const second = await send();
      const third = await send();
      const before = await readdir(join(harness.folder, "data", "state"), { recursive: true });
      const refused = await send();
      expect(refused).toMatchObject({ status: 429, body: { code: "QUEUE_FULL" } });
      expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
      expect(await readdir(join(harness.folder, "data", "state"), { recursive: true })).toEqual(before);
      expect(harness.services.capacity.describe()).toMatchObject({
        running: 1,
        queued: 2,
        max_concurrent: 1,
        max_queue_size: 2,
      });
      for (const job of [first, second, third])
        expect((await harness.ended(job.body.request_id)).status).toBe("succeeded");
      expect((await send()).status).toBe(200);
    },
  );

  test.runIf(isAlone)(
    "survives a restart; what was running and had not begun to work is begun again",
    async () => {
      await start({
        env: { SKILL_RUNNER_MAX_CONCURRENT_HARD_CAP: "1", SKILL_RUNNER_SHUTDOWN_GRACE_SECONDS: "0" },
        scenario: [{ lines: answering({ ok: true }), waitBefore: 700 }],
      });
      const send = async () =>
        (await harness.submit({ skill_id: "s", runtime_options: { no_cache: true } })).body.request_id;
      const running = await send();
      const queued = [await send(), await send()];
      while ((await processesOf(running)).length === 0) await sleep(10);
      await harness.restart();
      expect(await harness.ended(running)).toMatchObject({ status: "succeeded", current_attempt: 2 });
      for (const id of queued)
        expect(await harness.ended(id)).toMatchObject({ status: "succeeded", recovery_state: "requeued" });
    },
  );

  test("an agent whose tools are not heard is not begun again: it may have been at work", async () => {
    await start({ env: { SKILL_RUNNER_SHUTDOWN_GRACE_SECONDS: "0" } });
    const starts = join(harness.folder, "iflow-starts");
    const iflow = join(harness.config.npmPrefix, "bin/iflow");
    const asked = 'case "$*" in *--version*) echo 0.5.19; exit ;; *--help*) exit ;; esac';
    await writeFile(iflow, `#!/bin/sh\n${asked}\necho started >> ${starts}\nexec sleep 30\n`);
    await chmod(iflow, 0o755);
    const { request_id: id } = (await harness.submit({ skill_id: "s", engine: "iflow" })).body;
    const started = async () => readFile(starts, "utf8").catch(() => "");
    await expect.poll(started, { timeout: 5_000 }).toBe("started\n");
    await harness.restart();
    expect(await harness.ended(id)).toMatchObject({
      status: "failed",
      error: { code: "ORCHESTRATOR_RESTART_INTERRUPTED" },
    });
    expect(await started()).toBe("started\n");
  });
});

describe("the result cache", () => {
  test("answers the same question at once, with its own copy of the files", async () => {
    await start({
      scenario: [
        { lines: answering({ ok: true, report: "artifacts/r.md" }), files: { "artifacts/r.md": "# R" } },
      ],
    });
    const { id } = await runOnce();
    const { body } = await harness.submit({ skill_id: "s" });
    expect(body).toMatchObject({ cache_hit: true, status: "succeeded" });
    expect((await harness.remove(id)).status).toBe(204);
    expect(await harness.result(body.request_id)).toMatchObject({
      data: { ok: true },
      artifacts: ["artifacts/r.md"],
    });
    expect(await harness.calls()).toHaveLength(1);
  });

  test.each([
    ["no_cache", { runtime_options: { no_cache: true } }],
    ["another model", { model: "gpt-6-sol" }],
    ["a preamble", { runtime_options: { preamble_prompt: "Differently." } }],
  ])("is passed by with %s", async (_what, body) => {
    await start({ scenario: [{ lines: answering({ ok: true }) }] });
    await runOnce();
    expect((await harness.submit({ skill_id: "s", ...body })).body.cache_hit).toBe(false);
  });

  test("is passed by when the skill's content changed, and never remembers a failure", async () => {
    await start({ scenario: [{ exitCode: 1 }] });
    await runOnce();
    expect((await harness.submit({ skill_id: "s" })).body.cache_hit).toBe(false);
    await harness.scenario([{ lines: answering({ ok: true }) }]);
    await runOnce();
    await harness.writeSkill("s", { "references/new.md": "more" });
    expect((await harness.submit({ skill_id: "s" })).body.cache_hit).toBe(false);
  });
});

test("a result is refused until the job has ended", async () => {
  await start({ scenario: [{ lines: answering({ ok: true }), waitBefore: 400 }] });
  const { body } = await harness.submit({ skill_id: "s" });
  const early = await harness.call(getResult, { params: { request_id: body.request_id } });
  expect(early).toMatchObject({ status: 409, body: { code: "RESULT_NOT_READY" } });
  await harness.ended(body.request_id);
});
