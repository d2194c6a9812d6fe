import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import postUpload from "../../functions/v1/jobs/[request_id]/upload.post.ts";
import { plainPackage, startHarness } from "../harness.ts";
import { packageZip, zipOf } from "../package-zip.ts";
import { answering } from "../stand-in.ts";
import { expectProblem, type HttpServer, startHttp } from "./http-server.ts";

let server: HttpServer;
beforeAll(async () => {
  server = await startHttp({
    scenario: [{ onCue: true }],
    env: {
      TEMP_SKILL_PACKAGE_MAX_BYTES: "20000",
      SKILL_RUNNER_SHUTDOWN_GRACE_SECONDS: "0",
      SKILL_RUNNER_MAX_CONCURRENT_HARD_CAP: "1",
    },
  });
});
afterAll(() => server.close());

const done = { lines: answering({ ok: true }) };
const files = plainPackage("mine");
const withInput = {
  ...plainPackage("mine", { execution_modes: ["auto", "interactive"] }),
  "assets/input.schema.json": {
    type: "object",
    properties: { notes: { type: "string", "x-input-source": "file", extensions: [".md"] } },
    required: ["notes"],
  },
  "assets/parameter.schema.json": {
    type: "object",
    properties: { depth: { type: "integer", minimum: 1 } },
    additionalProperties: false,
  },
};
const good = packageZip("mine", files);
const notes = zipOf({ "notes.md": "# Notes\n" });

const waiting = (more: object = {}) =>
  server.job({ skill_source: "temp_upload", runtime_options: { no_cache: true }, ...more });
type Parts = { skill_package?: Buffer; file?: Buffer };
const send = (id: string, parts: Parts) => {
  const lines = Object.entries(parts).flatMap(([name, content]) => [
    Buffer.from(`--edge\r\nContent-Disposition: form-data; name="${name}"; filename="${name}.zip"\r\n\r\n`),
    content,
    Buffer.from("\r\n"),
  ]);
  return server.send("POST", `/v1/jobs/${id}/upload`, {
    headers: { "content-type": "multipart/form-data; boundary=edge" },
    body: Buffer.concat([...lines, Buffer.from("--edge--\r\n")]),
  });
};
const statusOf = async (id: string) => (await server.get(`/v1/jobs/${id}`)).body;
const finish = async (id: string) => {
  await server.harness.cue(id, done);
  return server.harness.ended(id);
};
const namesInZip = async (path: string) => {
  const { bytes } = await server.get(path);
  // Names as the central directory of the zip has them: 46 bytes of each entry's head, then its name (APPNOTE 4.3.12).
  const names: string[] = [];
  for (let at = bytes.indexOf("PK\x01\x02"); at >= 0; at = bytes.indexOf("PK\x01\x02", at + 46)) {
    names.push(bytes.toString("utf8", at + 46, at + 46 + bytes.readUInt16LE(at + 28)));
  }
  return names;
};

describe("a temporary skill", () => {
  test("runs from the package that comes with the upload, and is nobody else's", async () => {
    const id = await waiting();
    expect(await statusOf(id)).toMatchObject({
      status: "created",
      upload_required: true,
      skill_source: "temp_upload",
      skill_id: "",
    });
    expect(await send(id, { skill_package: good })).toMatchObject({
      status: 200,
      body: { request_id: id, status: "queued", cache_hit: false, extracted_files: [] },
    });
    expect((await server.get("/v1/skills")).body.map((skill: { id: string }) => skill.id)).not.toContain(
      "mine",
    );
    expectProblem(await server.get("/v1/skills/mine"), 404, "SKILL_NOT_FOUND");
    expect(await finish(id)).toMatchObject({
      status: "succeeded",
      skill_id: "mine",
      skill_version: "1.0.0",
      upload_required: false,
    });
    expect((await server.get(`/v1/jobs/${id}/result`)).body.result.data).toEqual({ ok: true });
    expect((await server.harness.calls()).at(-1)?.prompt).toContain("mine");
    expectProblem(
      await server.send("POST", "/v1/jobs", { body: { skill_id: "mine" } }),
      404,
      "SKILL_NOT_FOUND",
    );
    expect(await readdir(join(server.harness.config.dataDir, "incoming"))).toEqual([]);
  });

  test("is the one of its job, also when one of that name is installed", async () => {
    await server.harness.writeSkill("both", plainPackage("both"));
    const id = await waiting();
    await send(id, { skill_package: packageZip("both", plainPackage("both", { version: "9.9.9" })) });
    expect(await finish(id)).toMatchObject({ status: "succeeded", skill_version: "9.9.9" });
    expect((await server.get("/v1/skills/both")).body).toMatchObject({ version: "1.0.0" });
  });

  test("may take files of the same upload, parameters and a mode", async () => {
    const id = await waiting({
      input: { notes: "notes.md" },
      parameter: { depth: 2 },
      runtime_options: { execution_mode: "interactive" },
    });
    expect(await send(id, { skill_package: packageZip("mine", withInput), file: notes })).toMatchObject({
      status: 200,
      body: { extracted_files: ["notes.md"] },
    });
    expect(await finish(id)).toMatchObject({
      status: "succeeded",
      requested_execution_mode: "interactive",
      uploads: [{ path: "notes.md", bytes: 8 }],
    });
    const prompt = (await server.harness.calls()).at(-1)?.prompt ?? "";
    expect(prompt).toContain("uploads/notes.md");
    expect(prompt).toContain("depth");
  });

  test("has its own default options, over which the request's win", async () => {
    const defaults = plainPackage("mine", {
      execution_modes: ["auto", "interactive"],
      runtime: { default_options: { execution_mode: "interactive", env: { FROM: "skill", ALSO: "skill" } } },
    });
    const id = await waiting({ runtime_options: { env: { FROM: "request" } } });
    expect((await send(id, { skill_package: packageZip("mine", defaults) })).status).toBe(200);
    await server.harness.cue(id, { lines: answering({ ok: true, __SKILL_DONE__: true }) });
    expect(await server.harness.ended(id)).toMatchObject({ requested_execution_mode: "interactive" });
    expect((await server.harness.calls()).at(-1)?.env).toMatchObject({ FROM: "request", ALSO: "skill" });
  });

  test("is answered from the cache when the same package asked the same before", async () => {
    const ask = async (version: string) => {
      const id = await server.job({ skill_source: "temp_upload" });
      const { body } = await send(id, {
        skill_package: packageZip("mine", plainPackage("mine", { version })),
      });
      return { id, hit: body.cache_hit };
    };
    const first = await ask("1.0.0");
    expect(first.hit).toBe(false);
    await finish(first.id);
    const second = await ask("1.0.0");
    expect(second.hit).toBe(true);
    expect(await statusOf(second.id)).toMatchObject({
      status: "succeeded",
      cached_from: first.id,
      skill_id: "mine",
    });
    const other = await ask("1.0.1");
    expect(other.hit).toBe(false);
    await finish(other.id);
  });

  test("is in the debug bundle once, and gone with its job", async () => {
    const id = await waiting();
    await send(id, { skill_package: good });
    await finish(id);
    const names = await namesInZip(`/v1/jobs/${id}/bundle/debug`);
    expect(names.filter((name) => name.endsWith("/SKILL.md"))).toHaveLength(1);
    expect(names).toContain("result/result.json");
    expect(await namesInZip(`/v1/jobs/${id}/bundle`)).toEqual(["manifest.json", "result/result.json"]);
    const folder = join(server.harness.config.dataDir, (await statusOf(id)).workspaceDir, "..");
    expect(existsSync(join(folder, "skill", "mine", "SKILL.md"))).toBe(true);
    await server.send("DELETE", `/v1/jobs/${id}`);
    expect(existsSync(folder)).toBe(false);
  });
});

describe("a job that waits for its skill refuses, and waits on:", () => {
  const unfit = (manifest: object) => packageZip("mine", plainPackage("mine", manifest));
  type Row = [what: string, parts: Parts, status: number, code: string, asked?: object, pointers?: string[]];
  test.each<Row>([
    ["an upload without it", { file: notes }, 400, "UPLOAD_INVALID"],
    ["an empty upload", {}, 400, "UPLOAD_INVALID"],
    ["what is no zip", { skill_package: Buffer.from("no zip") }, 400, "ARCHIVE_INVALID"],
    ["files at the top", { skill_package: zipOf({ "SKILL.md": "x" }) }, 400, "ARCHIVE_INVALID"],
    [
      "two folders",
      { skill_package: zipOf({ "a/SKILL.md": "x", "b/SKILL.md": "x" }) },
      400,
      "ARCHIVE_INVALID",
    ],
    ["a path that climbs", { skill_package: zipOf({ "mine/../../SKILL.md": "x" }) }, 400, "ARCHIVE_INVALID"],
    [
      "a package with no SKILL.md",
      { skill_package: packageZip("mine", { "assets/runner.json": files["assets/runner.json"] }) },
      409,
      "SKILL_INVALID",
    ],
    [
      "a package with a broken schema",
      { skill_package: packageZip("mine", { ...files, "assets/output.schema.json": "{" }) },
      409,
      "SKILL_INVALID",
    ],
    ["a package of another name", { skill_package: packageZip("other", files) }, 409, "SKILL_INVALID"],
    [
      "one that runs on another engine",
      { skill_package: unfit({ engines: ["claude"] }) },
      400,
      "SKILL_ENGINE_UNSUPPORTED",
      {},
      ["/engine"],
    ],
    [
      "one that runs in another mode",
      { skill_package: unfit({ execution_modes: ["interactive"] }) },
      400,
      "SKILL_EXECUTION_MODE_UNSUPPORTED",
      {},
      ["/runtime_options/execution_mode"],
    ],
    [
      "a parameter that it does not have",
      { skill_package: packageZip("mine", withInput), file: notes },
      400,
      "PARAMETER_INVALID",
      { parameter: { depth: 0 } },
      ["/parameter/depth"],
    ],
    [
      "a missing file",
      { skill_package: packageZip("mine", withInput) },
      400,
      "INPUT_INVALID",
      { input: { notes: "notes.md" } },
      ["/input/notes"],
    ],
    [
      "a file that it does not take",
      {
        skill_package: packageZip("mine", withInput),
        file: zipOf({ "notes.md": "# Notes\n", "more.md": "x" }),
      },
      400,
      "INPUT_INVALID",
      {},
      ["/input"],
    ],
    [
      "a package that is too large",
      { skill_package: packageZip("mine", { ...files, "big.bin": randomBytes(30_000).toString("hex") }) },
      413,
      "BODY_TOO_LARGE",
    ],
  ])("%s", async (_what, parts, status, code, asked = {}, pointers = undefined) => {
    const id = await waiting(asked);
    const before = await server.stored();
    expectProblem(await send(id, parts), status, code, pointers);
    expect(await server.stored()).toEqual(before);
    expect(await statusOf(id)).toMatchObject({ status: "created", upload_required: true, skill_id: "" });
    await server.send("DELETE", `/v1/jobs/${id}`);
    expect(server.faults).toEqual([]);
  });

  test("and takes a good one afterwards", async () => {
    const id = await waiting();
    expectProblem(
      await send(id, { skill_package: unfit({ engines: ["claude"] }) }),
      400,
      "SKILL_ENGINE_UNSUPPORTED",
    );
    expect((await send(id, { skill_package: good })).status).toBe(200);
    expect((await finish(id)).status).toBe("succeeded");
  });
});

test.each(["restart", "crash"] as const)("a queued job has its temporary skill after a %s", async (how) => {
  const harness = await startHarness({
    scenario: [{ onCue: true }],
    env: { SKILL_RUNNER_MAX_CONCURRENT_HARD_CAP: "1", SKILL_RUNNER_SHUTDOWN_GRACE_SECONDS: "0" },
  });
  try {
    await harness.writeSkill("s", plainPackage("s"));
    const [ahead, id] = [
      (await harness.submit({ skill_id: "s" })).body.request_id,
      (await harness.submit({ skill_source: "temp_upload", runtime_options: { env: { A: "b" } } })).body
        .request_id,
    ];
    const body = new FormData();
    body.append("skill_package", new Blob([Uint8Array.from(good)]), "mine.zip");
    expect((await harness.call(postUpload, { params: { request_id: id }, body })).body.status).toBe("queued");
    await harness[how]();
    await harness.cue(ahead, done);
    await harness.cue(id, done);
    expect(await harness.ended(id)).toMatchObject({
      status: "succeeded",
      skill_id: "mine",
      current_attempt: 1,
      recovery_state: "requeued",
    });
    expect((await harness.calls()).at(-1)?.env).toMatchObject({ A: "b" });
  } finally {
    await harness.close();
  }
});

test("a job of an installed skill takes no package", async () => {
  const id = await server.job({ skill_id: "report-from-file", runtime_options: { no_cache: true } });
  const file = zipOf({ "source.md": "x" });
  expectProblem(await send(id, { skill_package: good, file }), 400, "UPLOAD_INVALID");
  expect((await statusOf(id)).status).toBe("created");
});

test.each<[what: string, body: object, status: number, code: string]>([
  ["names a skill", { skill_id: "s" }, 422, "REQUEST_INVALID"],
  ["names an engine that is not there", { engine: "hal" }, 404, "ENGINE_NOT_FOUND"],
  ["has a wrong option", { runtime_options: { execution_mode: "loud" } }, 400, "OPTION_INVALID"],
])("a request for a temporary skill that %s is refused at once", async (_what, body, status, code) => {
  const before = await server.stored();
  const answer = await server.send("POST", "/v1/jobs", { body: { skill_source: "temp_upload", ...body } });
  expectProblem(answer, status, code);
  expect(await server.stored()).toEqual(before);
});
