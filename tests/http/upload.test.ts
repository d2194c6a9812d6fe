import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type FixtureEntry, makeZip } from "../../lib/archives/zip-fixture.ts";
import { answering } from "../stand-in.ts";
import { expectProblem, form, type HttpServer, openRequest, type Sent, startHttp } from "./http-server.ts";

let server: HttpServer;
beforeAll(async () => {
  server = await startHttp({
    env: {
      SKILL_RUNNER_MAX_UPLOAD_BYTES: "200000",
      SKILL_RUNNER_UPLOAD_MAX_ENTRIES: "5",
      SKILL_RUNNER_UPLOAD_MAX_FILE_BYTES: "5000000",
      SKILL_RUNNER_UPLOAD_MAX_TOTAL_BYTES: "6000000",
      SKILL_RUNNER_UPLOAD_MAX_RATIO: "100",
    },
    scenario: [
      {
        lines: answering({ title: "T", key_points: ["a"], report: "artifacts/report.md" }),
        files: { "artifacts/report.md": "# R" },
      },
    ],
  });
});
afterAll(() => server.close());

const markdown: FixtureEntry = { name: "source.md", content: "# Facts\n" };
const good = makeZip([markdown]);
const noise = (bytes: number) =>
  Buffer.concat(Array.from({ length: bytes / 32 }, (_, n) => createHash("sha256").update(`${n}`).digest()));
const waiting = (input: object = {}) =>
  server.job({ skill_id: "report-from-file", runtime_options: { no_cache: true }, input });
const incoming = () => readdir(join(server.harness.config.dataDir, "incoming")).catch(() => []);
const statusOf = async (id: string) => (await server.get(`/v1/jobs/${id}`)).body;

test("a job that takes files waits for them, and runs when they have come", async () => {
  const id = await waiting();
  expect(await statusOf(id)).toMatchObject({ status: "created", upload_required: true, uploads: [] });
  const answer = await server.upload(id, good);
  expect(answer).toMatchObject({
    status: 200,
    body: { request_id: id, cache_hit: false, status: "queued", extracted_files: ["source.md"] },
  });
  expect(await server.harness.ended(id)).toMatchObject({
    status: "succeeded",
    upload_required: false,
    uploads: [
      { path: "source.md", bytes: 8, sha256: createHash("sha256").update("# Facts\n").digest("hex") },
    ],
  });
  const calls = await server.harness.calls();
  const given = join(calls.at(-1)?.cwd ?? "", "uploads", "source.md");
  expect(calls.at(-1)?.prompt).toContain(given);
  expect(await readFile(given, "utf8")).toBe("# Facts\n");
  expect(await incoming()).toEqual([]);
});

test.each<[how: string, input: object, entries: FixtureEntry[]]>([
  [
    "the file the request names",
    { source: "in/the notes.txt" },
    [{ name: "in/the notes.txt", content: "x" }],
  ],
  ["a name in another script", { source: "報告.md" }, [{ name: "報告.md", content: "x" }]],
  ["what macOS adds", {}, [markdown, { name: "__MACOSX/._source.md", content: "x" }]],
])("an upload may have %s", async (_how, input, entries) => {
  const id = await waiting(input);
  expect((await server.upload(id, makeZip(entries))).status).toBe(200);
  expect((await server.harness.ended(id)).status).toBe("succeeded");
});

const zipped = (...entries: FixtureEntry[]): Sent => form(makeZip(entries));
const bomb = Buffer.alloc(4_000_000);
const refusals: [what: string, sent: Sent, status: number, code: string, pointers?: string[]][] = [
  ["without the file", zipped(), 400, "INPUT_INVALID", ["/input/source"]],
  ["with another file", zipped({ name: "other.md", content: "x" }), 400, "INPUT_INVALID", ["/input/source"]],
  [
    "with a file too many",
    zipped(markdown, { name: "extra.md", content: "x" }),
    400,
    "INPUT_INVALID",
    ["/input"],
  ],
  [
    "with a wrong extension",
    zipped({ name: "source.exe", content: "x" }),
    400,
    "INPUT_INVALID",
    ["/input/source"],
  ],
  ["in a part of another name", form(good, "zip"), 400, "UPLOAD_INVALID", ["/zip"]],
  ["of an empty form", { ...form(good), body: "--a-boundary--\r\n" }, 400, "UPLOAD_INVALID"],
  ["that is cut short", { ...form(good), body: form(good).body.subarray(0, 120) }, 400, "UPLOAD_INVALID"],
  ["with no body", { headers: form(good).headers }, 400, "UPLOAD_INVALID"],
  [
    "that is no form",
    { body: good, headers: { "content-type": "application/zip" } },
    415,
    "MEDIA_TYPE_UNSUPPORTED",
  ],
  ["of no type", { body: good, headers: { "content-type": "" } }, 415, "MEDIA_TYPE_UNSUPPORTED"],
  ["that is JSON", { body: { file: "x" } }, 415, "MEDIA_TYPE_UNSUPPORTED"],
  ["that is no zip", form(Buffer.from("not a zip")), 400, "ARCHIVE_INVALID"],
  ["of an empty file", form(Buffer.alloc(0)), 400, "ARCHIVE_INVALID"],
  ["of half a zip", form(good.subarray(0, good.length / 2)), 400, "ARCHIVE_INVALID"],
  ["with ..", zipped({ name: "../source.md", content: "x" }), 400, "ARCHIVE_INVALID"],
  ["with an absolute name", zipped({ name: "/etc/source.md", content: "x" }), 400, "ARCHIVE_INVALID"],
  ["with a backslash", zipped({ name: "..\\source.md", content: "x" }), 400, "ARCHIVE_INVALID"],
  [
    "with a link",
    zipped({ name: "source.md", content: "/etc/passwd", mode: 0o120777 }),
    400,
    "ARCHIVE_INVALID",
  ],
  ["with a name twice", zipped(markdown, markdown), 400, "ARCHIVE_INVALID"],
  ["that inflates too far", zipped({ name: "source.md", content: bomb }), 413, "ARCHIVE_TOO_LARGE"],
  [
    "that inflates to more than it says",
    zipped({ name: "source.md", content: bomb, declared: { bytes: 10 } }),
    413,
    "ARCHIVE_TOO_LARGE",
  ],
  [
    "with too many entries",
    zipped(...Array.from({ length: 6 }, (_, n) => ({ name: `${n}.md` }))),
    413,
    "ARCHIVE_TOO_LARGE",
  ],
  [
    "with too large a file",
    zipped({ name: "source.md", declared: { bytes: 5_000_001 } }),
    413,
    "ARCHIVE_TOO_LARGE",
  ],
  [
    "that is too large unpacked",
    zipped(
      { name: "source.md", declared: { bytes: 4_000_000 } },
      { name: "b.md", declared: { bytes: 4_000_000 } },
    ),
    413,
    "ARCHIVE_TOO_LARGE",
  ],
  ["over the limit", zipped({ name: "source.md", content: noise(320_000) }), 413, "BODY_TOO_LARGE"],
  [
    "over the limit, chunked",
    { ...zipped({ name: "source.md", content: noise(3_200_000) }), chunked: true },
    413,
    "BODY_TOO_LARGE",
  ],
];

describe("an upload is refused", () => {
  test.each(refusals)("%s", async (_what, sent, status, code, pointers) => {
    const id = await waiting();
    const before = await server.stored();
    const answer = await server.send("POST", `/v1/jobs/${id}/upload`, sent);
    expectProblem(answer, status, code, pointers);
    expect(await server.stored()).toEqual(before);
    expect(await statusOf(id)).toMatchObject({ status: "created", upload_required: true });
    await server.send("DELETE", `/v1/jobs/${id}`);
    expect(server.faults).toEqual([]);
  });

  test("and a good one afterwards works", async () => {
    const id = await waiting();
    for (const [, sent, status] of refusals.slice(0, 20)) {
      expect((await server.send("POST", `/v1/jobs/${id}/upload`, sent)).status).toBe(status);
    }
    expect((await server.upload(id, good)).status).toBe(200);
    expect((await server.harness.ended(id)).status).toBe("succeeded");
  });

  test("for a job that has its files, takes none, was canceled, or never was", async () => {
    const had = await waiting();
    await server.upload(had, good);
    expectProblem(await server.upload(had, good), 409, "JOB_STATE_CONFLICT");
    await server.harness.ended(had);
    expectProblem(await server.upload(had, good), 409, "JOB_STATE_CONFLICT");
    const plain = await server.job({ skill_id: "s" });
    await server.harness.ended(plain);
    expectProblem(await server.upload(plain, good), 409, "JOB_STATE_CONFLICT");
    const canceled = await waiting();
    expect((await server.send("POST", `/v1/jobs/${canceled}/cancel`)).body).toMatchObject({
      request_id: canceled,
      status: "canceled",
      accepted: true,
    });
    expectProblem(await server.upload(canceled, good), 409, "JOB_STATE_CONFLICT");
    expect((await server.get(`/v1/jobs/${canceled}/result`)).body.result).toMatchObject({
      status: "canceled",
      error: { code: "CANCELED_BY_USER" },
    });
    expectProblem(await server.upload("01M87DK8E7XJ2AH58R08D43THF", good), 404, "JOB_NOT_FOUND");
    expect(await incoming()).toEqual([]);
  });
});

test("of uploads that come at once, exactly one wins", async () => {
  const id = await waiting();
  const answers = await Promise.all(Array.from({ length: 5 }, () => server.upload(id, good)));
  expect(answers.map((answer) => answer.status).sort()).toEqual([200, 409, 409, 409, 409]);
  expect(await server.harness.ended(id)).toMatchObject({ status: "succeeded", current_attempt: 1 });
  expect(await incoming()).toEqual([]);
});

test("a client that hangs up leaves nothing, and the job still waits", async () => {
  const id = await waiting();
  const before = await server.stored();
  const { headers, body } = form(good);
  const path = `/v1/jobs/${id}/upload`;
  const request = openRequest(server.port, "POST", path, { ...headers, "content-length": `${body.length}` });
  request.write(body.subarray(0, body.length - 50));
  while ((await incoming()).length === 0) await sleep(5);
  request.destroy();
  while ((await incoming()).length > 0) await sleep(5);
  expect(await server.stored()).toEqual(before);
  expect((await server.upload(id, good)).status).toBe(200);
  expect(server.faults).toEqual([]);
});

test("the same files to the same question are answered from the cache", async () => {
  const ask = () => server.job({ skill_id: "report-from-file" });
  const first = await ask();
  await server.upload(first, good);
  await server.harness.ended(first);
  const second = await ask();
  const answer = await server.upload(second, good);
  expect(answer.body).toMatchObject({ cache_hit: true, status: "succeeded", extracted_files: ["source.md"] });
  expect(await statusOf(second)).toMatchObject({ cached_from: first, upload_required: false });
  expect((await server.get(`/v1/jobs/${second}/artifacts/artifacts/report.md`)).bytes.toString()).toBe("# R");
  expect(await incoming()).toEqual([]);
});

test("cancel while an upload is being taken ends the job, whichever comes first", async () => {
  for (let round = 0; round < 5; round++) {
    const id = await waiting();
    const [, canceled] = await Promise.all([
      server.upload(id, good),
      sleep(round * 3).then(() => server.send("POST", `/v1/jobs/${id}/cancel`)),
    ]);
    const { status, accepted } = canceled.body;
    expect(["canceled", "succeeded"]).toContain(status);
    expect(accepted).toBe(status === "canceled");
  }
});
