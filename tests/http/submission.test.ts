import { afterEach, describe, expect, test } from "vitest";
import { makeZip } from "../../lib/archives/zip-fixture.ts";
import { plainPackage } from "../harness.ts";
import { packageZip } from "../package-zip.ts";
import { answering, type Scenario } from "../stand-in.ts";
import { expectProblem, form, type HttpServer, type Sent, startHttp } from "./http-server.ts";

let server: HttpServer;
afterEach(() => server.close());

const done = { lines: answering({ ok: true }) };
const question = { lines: answering({ __SKILL_DONE__: false, message: "Go on?", ui_hints: {} }) };
const job = { skill_id: "s", runtime_options: { no_cache: true } };

async function start(scenario: Scenario, env: Record<string, string> = {}): Promise<void> {
  server = await startHttp({ scenario, env });
  await server.harness.writeSkill("s", plainPackage("s", { execution_modes: ["auto", "interactive"] }));
}
const submit = (body: object, headers: Record<string, string> = {}) =>
  server.send("POST", "/v1/jobs", { body, headers });

describe("Prefer: wait", () => {
  test("answers with the result when the job has ended", async () => {
    await start([done]);
    const answer = await submit(job, { prefer: "respond-async, wait=30" });
    expect(answer).toMatchObject({
      status: 200,
      headers: { "preference-applied": "wait=30" },
      body: { status: "succeeded", cache_hit: false, result: { status: "success", data: { ok: true } } },
    });
  });

  test("answers with what the job came to when the time is over, and where to ask", async () => {
    await start([{ ...done, waitBefore: 20_000 }]);
    const answer = await submit(job, { prefer: "wait=1" });
    const { request_id } = answer.body;
    expect(answer).toMatchObject({
      status: 202,
      headers: { location: `/v1/jobs/${request_id}`, "preference-applied": "wait=1" },
      body: { status: "running" },
    });
    expect(answer.body.result).toBeUndefined();
    await server.send("POST", `/v1/jobs/${request_id}/cancel`);
  });

  test("answers with the question of a job that asks, and at once for one that waits for its files", async () => {
    await start([question]);
    const asks = await submit(
      { ...job, runtime_options: { execution_mode: "interactive" } },
      { prefer: "wait=30" },
    );
    expect(asks).toMatchObject({
      status: 200,
      body: { status: "waiting_user", pending: { prompt: "Go on?", interaction_id: 1 } },
    });
    const files = await submit({ skill_id: "report-from-file" }, { prefer: "wait=30" });
    expect(files).toMatchObject({ status: 200, body: { status: null } });
  });

  test("is for uploads too, and what cannot be read is no preference", async () => {
    await start([
      {
        lines: answering({ title: "T", key_points: ["a"], report: "artifacts/r.md" }),
        files: { "artifacts/r.md": "# R" },
      },
    ]);
    const id = await server.job({ skill_id: "report-from-file" });
    const { headers, body } = form(makeZip([{ name: "source.md", content: "# Facts" }]));
    const sent: Sent = { headers: { ...headers, prefer: "wait=30" }, body };
    expect(await server.send("POST", `/v1/jobs/${id}/upload`, sent)).toMatchObject({
      status: 200,
      body: { status: "succeeded", extracted_files: ["source.md"], result: { status: "success" } },
    });
    const plain = await submit(job, { prefer: "wait=soon" });
    expect(plain).toMatchObject({ status: 200, body: { status: "queued" } });
    expect(plain.headers).not.toHaveProperty("preference-applied");
  });
});

describe("Idempotency-Key", () => {
  const key = { "idempotency-key": '"order-1"' };

  test("makes one job of the same request, also at the same time and after a restart", async () => {
    await start([done]);
    const answers = await Promise.all(Array.from({ length: 20 }, () => submit(job, key)));
    const ids = new Set(answers.map(({ body }) => body.request_id));
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 200));
    expect(ids.size).toBe(1);
    const [id = ""] = ids;
    await server.harness.ended(id);
    expect((await server.get("/v1/jobs")).body.jobs).toHaveLength(1);
    expect((await submit(job, { "idempotency-key": "order-1" })).body).toEqual({
      request_id: id,
      cache_hit: false,
      status: "queued",
    });
    expect((await submit(job, { "idempotency-key": "order-2" })).body.request_id).not.toBe(id);
  });

  test("of another request is refused; of a refused or a deleted one it is free again", async () => {
    await start([done]);
    expectProblem(
      await submit({ ...job, parameter: { no: 1 }, skill_id: "none" }, key),
      404,
      "SKILL_NOT_FOUND",
    );
    const { request_id } = (await submit(job, key)).body;
    expectProblem(await submit({ ...job, input: {}, model: "other" }, key), 422, "IDEMPOTENCY_KEY_REUSED");
    await server.harness.ended(request_id);
    expect((await server.send("DELETE", `/v1/jobs/${request_id}`)).status).toBe(204);
    const again = (await submit({ ...job, model: "other" }, key)).body.request_id;
    expect(again).not.toBe(request_id);
    await server.harness.ended(again);
  });

  test("must be one", async () => {
    await start([done]);
    for (const value of ['""', "x".repeat(256)]) {
      expectProblem(await submit(job, { "idempotency-key": value }), 422, "REQUEST_INVALID", [
        "/header/idempotency-key",
      ]);
    }
    expect((await server.get("/v1/jobs")).body.jobs).toEqual([]);
  });
});

describe("a temporary skill", () => {
  const temporary = (more: object = {}) => submit({ skill_source: "temp_upload", ...more });
  const pack = (id: string, manifest: object = {}) => packageZip(id, plainPackage(id, manifest));
  const upload = (id: string, zip: Buffer) => server.upload(id, zip, "skill_package");

  test("comes with the upload, is that job's alone, and answers from the cache when it comes again", async () => {
    await start([done]);
    const { body } = await temporary();
    expect(body).toMatchObject({ status: null, cache_hit: false });
    const id = body.request_id;
    expect((await server.get(`/v1/jobs/${id}`)).body).toMatchObject({ status: "created", skill_id: "" });
    expect(await upload(id, pack("fresh"))).toMatchObject({ status: 200, body: { status: "queued" } });
    expect(await server.harness.ended(id)).toMatchObject({
      status: "succeeded",
      skill_id: "fresh",
      skill_source: "temp_upload",
      skill_version: "1.0.0",
    });
    expect((await server.get("/v1/skills/fresh")).status).toBe(404);
    const second = (await temporary()).body.request_id;
    expect((await upload(second, pack("fresh"))).body).toMatchObject({
      cache_hit: true,
      status: "succeeded",
    });
    const other = (await temporary()).body.request_id;
    expect((await upload(other, pack("fresh", { version: "1.0.1" }))).body.cache_hit).toBe(false);
    await server.harness.ended(other);
  });

  test("that does not fit is refused, and the job waits for a better one", async () => {
    await start([done], { TEMP_SKILL_PACKAGE_MAX_BYTES: "2000" });
    const { request_id: id } = (await temporary({ engine: "codex" })).body;
    expectProblem(await upload(id, pack("fresh", { engines: ["claude"] })), 400, "SKILL_ENGINE_UNSUPPORTED");
    expectProblem(
      await upload(id, pack("fresh", { execution_modes: ["interactive"] })),
      400,
      "SKILL_EXECUTION_MODE_UNSUPPORTED",
    );
    expectProblem(await upload(id, packageZip("fresh", { "SKILL.md": "no head" })), 409, "SKILL_INVALID");
    expectProblem(await upload(id, makeZip([{ name: "a.md", content: "x" }])), 400, "ARCHIVE_INVALID");
    expectProblem(await server.upload(id, pack("fresh")), 400, "UPLOAD_INVALID");
    const large = packageZip("fresh", {
      ...plainPackage("fresh"),
      "notes.bin": crypto.getRandomValues(new Uint8Array(4_000)).join(),
    });
    expectProblem(await upload(id, large), 413, "BODY_TOO_LARGE");
    expect((await server.get(`/v1/jobs/${id}`)).body.status).toBe("created");
    expect((await upload(id, pack("fresh"))).status).toBe(200);
    expect((await server.harness.ended(id)).status).toBe("succeeded");
  });

  test("has its own defaults, under what the job asked for", async () => {
    await start([done]);
    const defaults = { runtime: { default_options: { preamble_prompt: "From the skill.", no_cache: true } } };
    const { request_id: id } = (await temporary({ runtime_options: { preamble_prompt: "From the caller." } }))
      .body;
    await upload(id, pack("fresh", defaults));
    await server.harness.ended(id);
    expect((await server.harness.calls())[0]?.prompt).toContain("From the caller.");
    const other = (await temporary()).body.request_id;
    await upload(other, pack("fresh", defaults));
    await server.harness.ended(other);
    expect((await server.harness.calls())[1]?.prompt).toContain("From the skill.");
  });
});
