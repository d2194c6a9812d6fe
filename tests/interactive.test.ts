import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import cancelJob from "../functions/v1/jobs/[request_id]/cancel.post.ts";
import getEvents from "../functions/v1/jobs/[request_id]/events/history.get.ts";
import getFiles from "../functions/v1/jobs/[request_id]/files.get.ts";
import getPending from "../functions/v1/jobs/[request_id]/interaction/pending.get.ts";
import postFiles from "../functions/v1/jobs/[request_id]/interaction/reply/files.post.ts";
import postReply from "../functions/v1/jobs/[request_id]/interaction/reply.post.ts";
import { type Harness, type HarnessOptions, isAlone, plainPackage, startHarness } from "./harness.ts";
import { answering, thread } from "./stand-in.ts";

let harness: Harness;
afterEach(() => harness.close());

const asking = (message: string, ui_hints: object = { kind: "open_text" }) => ({
  lines: answering({ __SKILL_DONE__: false, message, ui_hints }),
});
const done = { lines: answering({ ok: true, __SKILL_DONE__: true }) };

async function start(options: HarnessOptions, manifest: object = {}): Promise<void> {
  harness = await startHarness(options);
  await harness.writeSkill(
    "asks",
    plainPackage("asks", { execution_modes: ["auto", "interactive"], ...manifest }),
  );
}
const submit = async (runtime_options: object = {}, more: object = {}): Promise<string> => {
  const { status, body } = await harness.submit({
    skill_id: "asks",
    runtime_options: { execution_mode: "interactive", ...runtime_options },
    ...more,
  });
  expect(status, JSON.stringify(body)).toBe(200);
  return body.request_id;
};
const params = (id: string) => ({ params: { request_id: id } });
const reply = (id: string, body: object) => harness.call(postReply, { ...params(id), body });
const pending = async (id: string) => (await harness.call(getPending, params(id))).body;
const eventsOf = async (id: string) => (await harness.call(getEvents, params(id))).body.events;
const statesOf = async (id: string) =>
  (await eventsOf(id))
    .filter((event: { type: string }) => event.type === "conversation.state.changed")
    .map((event: { data: { to: string } }) => event.data.to);

describe("a job that asks", () => {
  test("waits without a slot, and goes on in its agent's session with the answer", async () => {
    const options = [{ label: "Red", value: "red" }, "blue"];
    await start({ scenario: [asking("Which colour?", { kind: "choose_one", options }), done] });
    const id = await submit();
    expect(await harness.reaches(id, "waiting_user")).toMatchObject({
      pending_interaction_id: 1,
      interaction_count: 1,
      pending_owner: "waiting_user",
      current_attempt: 1,
    });
    await expect.poll(() => harness.services.capacity.gate.snapshot().running).toBe(0);
    expect(await pending(id)).toMatchObject({
      status: "waiting_user",
      effective_execution_mode: "interactive",
      pending_auth: null,
      pending: {
        interaction_id: 1,
        kind: "choose_one",
        prompt: "Which colour?",
        options: [
          { label: "Red", value: "red" },
          { label: "blue", value: "blue" },
        ],
        source_attempt: 1,
        expires_at: null,
      },
    });
    expect(await reply(id, { interaction_id: 1, response: "red" })).toMatchObject({
      status: 200,
      body: { request_id: id, status: "queued", accepted: true, mode: "interaction" },
    });
    expect(await harness.ended(id)).toMatchObject({
      status: "succeeded",
      current_attempt: 2,
      turns: 2,
      pending_interaction_id: null,
      pending_owner: null,
    });
    expect((await harness.result(id)).data).toEqual({ ok: true });
    const [, second] = await harness.calls();
    expect(second?.prompt).toBe("red");
    expect(second?.args.slice(-3)).toEqual(["resume", thread, "-"]);
    expect(await statesOf(id)).toEqual(["running", "waiting_user", "queued", "running", "succeeded"]);
    const told = (await eventsOf(id)).map((event: { type: string }) => event.type);
    expect(told).toContain("user.input.required");
    expect(told).toContain("interaction.reply.accepted");
  });

  test("in plain words asks an open question", async () => {
    await start({ scenario: [{ lines: answering("What is your name?") }, done] });
    const id = await submit();
    await harness.reaches(id, "waiting_user");
    expect((await pending(id)).pending).toMatchObject({ kind: "open_text", prompt: "What is your name?" });
    await reply(id, { interaction_id: 1, response: { name: "Ada" } });
    expect((await harness.ended(id)).status).toBe("succeeded");
    expect((await harness.calls()).at(-1)?.prompt).toBe('{"name":"Ada"}');
  });

  test.runIf(isAlone)(
    "whose session lies where the sandbox was on begins anew without it, and says so",
    async () => {
      await start({ scenario: [asking("Which?"), done] });
      const id = await submit();
      await harness.reaches(id, "waiting_user");
      const record = join(harness.config.dataDir, "state/active", id);
      await harness.restart(async () => {
        const stored = JSON.parse(await readFile(record, "utf8"));
        await writeFile(record, JSON.stringify({ ...stored, session_in_folder: true }));
      });
      await reply(id, { interaction_id: 1, response: "red" });
      expect(await harness.ended(id)).toMatchObject({
        status: "succeeded",
        warnings: [expect.objectContaining({ code: "BEGUN_ANEW" })],
      });
      const [, again] = await harness.calls();
      expect(again?.args).not.toContain("resume");
    },
  );

  test("may ask again, each question with the next number, until the skill's max_attempt", async () => {
    await start({ scenario: [asking("First?"), asking("Second?"), asking("Third?")] }, { max_attempt: 3 });
    const id = await submit();
    await harness.reaches(id, "waiting_user");
    await reply(id, { interaction_id: 1, response: "one" });
    await expect.poll(async () => (await pending(id)).pending?.interaction_id).toBe(2);
    await reply(id, { interaction_id: 2, response: "two" });
    expect(await harness.ended(id)).toMatchObject({
      status: "failed",
      error: { code: "INTERACTIVE_MAX_ATTEMPT_EXCEEDED", message: expect.stringContaining("Third?") },
      interaction_count: 2,
    });
  });

  test("can be canceled while it waits", async () => {
    await start({ scenario: [asking("?")] });
    const id = await submit();
    await harness.reaches(id, "waiting_user");
    const { body } = await harness.call(cancelJob, { ...params(id), method: "POST" });
    expect(body).toMatchObject({ status: "canceled", accepted: true });
    expect(await reply(id, { interaction_id: 1, response: "late" })).toMatchObject({
      status: 409,
      body: { code: "JOB_STATE_CONFLICT" },
    });
  });

  test.runIf(isAlone)("waits over a restart, and is judged by the skill it began with", async () => {
    await start({ scenario: [asking("?"), done] });
    const id = await submit();
    await harness.reaches(id, "waiting_user");
    await rm(join(harness.config.skillsDir, "asks"), { recursive: true });
    await harness.restart();
    expect(await harness.reaches(id, "waiting_user")).toMatchObject({ recovery_state: "recovered_waiting" });
    await reply(id, { interaction_id: 1, response: "yes" });
    expect((await harness.ended(id)).status).toBe("succeeded");
  });

  test("has its answer mended in the same attempt when it was meant as the result", async () => {
    await start({ scenario: [asking("?"), { lines: answering({ ok: "yes", __SKILL_DONE__: true }) }, done] });
    const id = await submit();
    await harness.reaches(id, "waiting_user");
    await reply(id, { interaction_id: 1, response: "go" });
    expect(await harness.ended(id)).toMatchObject({ status: "succeeded", current_attempt: 2, turns: 3 });
  });

  test("that gives a good result without the marker is done, with a warning", async () => {
    await start({ scenario: [{ lines: answering({ ok: true }) }] });
    const job = await harness.ended(await submit());
    expect(job.status).toBe("succeeded");
    expect(job.warnings).toEqual([
      expect.objectContaining({ code: "INTERACTIVE_COMPLETED_WITHOUT_DONE_MARKER" }),
    ]);
  });
});

describe("a reply", () => {
  test("to another question, to a job that asks nothing, or to one that never asks, is refused", async () => {
    await start({ scenario: [asking("?"), done] });
    const id = await submit();
    await harness.reaches(id, "waiting_user");
    expect(await reply(id, { interaction_id: 7, response: "x" })).toMatchObject({
      status: 409,
      body: { code: "STALE_INTERACTION" },
    });
    expect(await reply(id, { response: "x" })).toMatchObject({
      status: 422,
      body: { code: "REQUEST_INVALID", errors: [{ pointer: "/interaction_id" }] },
    });
    expect((await reply(id, { interaction_id: 1 })).body.errors).toMatchObject([{ pointer: "/response" }]);
    expect((await reply("01ARZ3NDEKTSV4RRFFQ69G5FAV", { interaction_id: 1, response: "x" })).status).toBe(
      404,
    );
    await reply(id, { interaction_id: 1, response: "x" });
    await harness.ended(id);
    expect((await reply(id, { interaction_id: 1, response: "x" })).body.code).toBe("JOB_STATE_CONFLICT");
    const auto = (await harness.submit({ skill_id: "asks" })).body.request_id;
    expect(await reply(auto, { interaction_id: 1, response: "x" })).toMatchObject({
      status: 400,
      body: { code: "JOB_NOT_INTERACTIVE" },
    });
    await harness.ended(auto);
  });

  test("under an idempotency key is taken once, also when it comes twice at a time", async () => {
    await start({ scenario: [asking("?"), { ...done, waitBefore: 200 }] });
    const id = await submit();
    await harness.reaches(id, "waiting_user");
    const body = { interaction_id: 1, response: "yes", idempotency_key: "k1" };
    const answers = await Promise.all([reply(id, body), reply(id, body), reply(id, body)]);
    expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200]);
    expect(await reply(id, { ...body, response: "no" })).toMatchObject({
      status: 409,
      body: { code: "IDEMPOTENCY_CONFLICT" },
    });
    expect((await harness.ended(id)).current_attempt).toBe(2);
    expect((await reply(id, body)).status).toBe(200);
    expect(await harness.calls()).toHaveLength(2);
  });
});

describe("a question that nobody answers", () => {
  test.each([
    ["when the job asks for it", { interactive_auto_reply: true, interactive_reply_timeout_sec: 0 }, {}],
    ["when there is nobody to ask", {}, { client_metadata: { conversation_mode: "non_session" } }],
  ])("is left to the agent %s", async (_when, options, more) => {
    await start({ scenario: [asking("?"), done] });
    const id = await submit(options, more);
    expect(await harness.ended(id)).toMatchObject({ status: "succeeded", auto_decision_count: 1 });
    expect((await harness.calls()).at(-1)?.prompt).toMatch(/Nobody answered/);
    const told = (await eventsOf(id)).map((event: { type: string }) => event.type);
    expect(told).toContain("interaction.auto_decide.timeout");
  });

  test("whose time ran out while the server was down is left to the agent at the next start", async () => {
    await start({ scenario: [asking("?"), done] });
    const id = await submit({ interactive_auto_reply: true, interactive_reply_timeout_sec: 1 });
    await harness.reaches(id, "waiting_user");
    await harness.restart();
    expect(await harness.ended(id)).toMatchObject({ status: "succeeded", auto_decision_count: 1 });
  });
});

describe("a reply of files", () => {
  const send = (id: string, metadata: object | string, ...files: [name: string, content: string][]) => {
    const body = new FormData();
    body.append("metadata", typeof metadata === "string" ? metadata : JSON.stringify(metadata));
    for (const [name, content] of files) body.append("files", new Blob([content]), name);
    return harness.call(postFiles, { ...params(id), body });
  };
  const slots = { kind: "upload_files", files: [{ name: "notes" }, { name: "extra", required: false }] };

  test("goes to the agent by paths of the server's making, and shows nobody else more than names and sizes", async () => {
    await start({ scenario: [asking("Your notes?", slots), done] });
    const id = await submit();
    await harness.reaches(id, "waiting_user");
    const answer = await send(
      id,
      { interaction_id: 1, message: "Here", bindings: [{ slot: "notes", file_index: 0 }] },
      ["../../my notes?.md", "hello"],
    );
    expect(answer).toMatchObject({ status: 200, body: { status: "queued", mode: "interaction" } });
    await harness.ended(id);
    const prompt = (await harness.calls()).at(-1)?.prompt ?? "";
    expect(prompt).toMatch(
      /^Here\n\nFiles .*:\n- notes: uploads\/\.interaction-replies\/1\/[0-9A-Z]{26}\/1-my-notes\.md\n$/,
    );
    const accepted = (await eventsOf(id)).find(
      (event: { type: string }) => event.type === "interaction.reply.accepted",
    );
    expect(accepted.data).toEqual({
      interaction_id: 1,
      response: "Here",
      files: [{ slot: "notes", name: "my notes?.md", bytes: 5 }],
    });
    const { entries } = (await harness.call(getFiles, params(id))).body;
    expect(JSON.stringify(entries)).not.toContain("interaction-replies");
  });

  test("that does not fit is refused with what is wrong, and the job waits on", async () => {
    await start({ scenario: [asking("Your notes?", slots), done] });
    const id = await submit();
    await harness.reaches(id, "waiting_user");
    const bind = (slot: string, file_index: number) => ({ slot, file_index });
    const refused: [Parameters<typeof send>[1], [string, string][], string][] = [
      [
        { interaction_id: 1, bindings: [bind("nope", 0), bind("notes", 1)] },
        [
          ["a", "x"],
          ["b", "y"],
        ],
        "/metadata/bindings/0/slot",
      ],
      [{ interaction_id: 1, bindings: [bind("extra", 0)] }, [["a", "x"]], "/metadata/bindings"],
      [{ interaction_id: 1, bindings: [] }, [["a", "x"]], "/files/0"],
      [{ interaction_id: 1, bindings: [bind("notes", 3)] }, [["a", "x"]], "/files/0"],
      [{ interaction_id: 1, bindings: [bind("notes", 0)] }, [["a", ""]], "/files/0"],
      ["{", [["a", "x"]], "/metadata"],
    ];
    for (const [metadata, files, pointer] of refused) {
      const answer = await send(id, metadata, ...files);
      expect(answer, JSON.stringify(metadata)).toMatchObject({
        status: 422,
        body: { code: "REPLY_INVALID" },
      });
      expect(answer.body.errors.map((error: { pointer: string }) => error.pointer)).toContain(pointer);
    }
    expect((await send(id, { interaction_id: 2, bindings: [bind("notes", 0)] }, ["a", "x"])).body.code).toBe(
      "STALE_INTERACTION",
    );
    expect((await pending(id)).pending.interaction_id).toBe(1);
  });
});

test("a skill that names only one mode runs in no other", async () => {
  await start({}, { execution_modes: ["interactive"] });
  const { status, body } = await harness.submit({ skill_id: "asks" });
  expect({ status, code: body.code }).toEqual({ status: 400, code: "SKILL_EXECUTION_MODE_UNSUPPORTED" });
});
