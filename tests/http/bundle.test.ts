import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fromBufferPromise } from "yauzl";
import { makeZip } from "../../lib/archives/zip-fixture.ts";
import { answering } from "../stand-in.ts";
import { expectProblem, type HttpServer, startHttp } from "./http-server.ts";

const report = `# Report\n${"line\n".repeat(50_000)}`;
const answer = { title: "T", key_points: ["a"], report: "artifacts/report.md" };
let server: HttpServer;
let id: string;
beforeAll(async () => {
  server = await startHttp({
    scenario: [
      { lines: answering({ title: "" }), stderr: "not yet\n" },
      {
        lines: answering(answer),
        files: {
          "artifacts/report.md": report,
          "artifacts/報告 2.txt": "二",
          "artifacts/empty.txt": "",
          "notes.txt": "left in the workspace",
          "node_modules/x/index.js": "installed",
        },
      },
    ],
  });
  id = await server.job({ skill_id: "report-from-file", runtime_options: { env: { MY_TOKEN: "t-secret" } } });
  await server.upload(id, makeZip([{ name: "source.md", content: "# Facts\n" }]));
  expect((await server.harness.ended(id)).status).toBe("succeeded");
});
afterAll(() => server.close());

async function unzip(bytes: Buffer): Promise<Map<string, Buffer>> {
  const zip = await fromBufferPromise(bytes, { lazyEntries: true });
  const entries = new Map<string, Buffer>();
  for await (const entry of zip.eachEntry()) {
    expect(entries.has(entry.fileName), `${entry.fileName} twice`).toBe(false);
    const chunks: Buffer[] = [];
    for await (const chunk of await zip.openReadStreamPromise(entry)) chunks.push(chunk);
    entries.set(entry.fileName, Buffer.concat(chunks));
  }
  return entries;
}

async function bundle(of: string, kind: "" | "/debug" = "") {
  const { status, headers, bytes } = await server.get(`/v1/jobs/${of}/bundle${kind}`);
  expect(status).toBe(200);
  expect(headers["content-type"]).toBe("application/zip");
  const entries = await unzip(bytes);
  const manifest = JSON.parse(String(entries.get("manifest.json")));
  return { headers, entries, manifest, names: [...entries.keys()] };
}

describe("the bundle", () => {
  test("has the result, every artifact byte for byte, and a manifest that names them", async () => {
    const { headers, entries, manifest, names } = await bundle(id);
    expect(headers["content-disposition"]).toBe('attachment; filename="run_bundle.zip"');
    const artifacts = ["artifacts/empty.txt", "artifacts/report.md", "artifacts/報告 2.txt"];
    expect(names).toEqual(["manifest.json", "result/result.json", ...artifacts]);
    expect(manifest).toMatchObject({
      request_id: id,
      skill_id: "report-from-file",
      skill_version: "1.0.0",
      engine: "codex",
      status: "succeeded",
      kind: "result",
      files: names.slice(1),
    });
    expect(entries.get("artifacts/report.md")?.toString()).toBe(report);
    expect(entries.get("artifacts/報告 2.txt")?.toString()).toBe("二");
    expect(JSON.parse(String(entries.get("result/result.json")))).toEqual(
      (await server.get(`/v1/jobs/${id}/result`)).body.result,
    );
  });

  test("for debugging has the logs of every turn, the events, the uploads and the workspace too", async () => {
    const { headers, entries, manifest, names } = await bundle(id, "/debug");
    expect(headers["content-disposition"]).toBe('attachment; filename="run_bundle_debug.zip"');
    expect(manifest).toMatchObject({ kind: "debug", files: names.slice(1) });
    expect(names).toEqual(
      expect.arrayContaining([
        "result/result.json",
        "artifacts/report.md",
        "events.jsonl",
        "workspace/uploads/source.md",
        "workspace/notes.txt",
        ...[1, 2].flatMap((turn) =>
          ["prompt.txt", "stdout.log", "meta.json"].map((name) => `turn-${turn}/${name}`),
        ),
      ]),
    );
    expect(names.filter((name) => /node_modules|\.git\/|^tmp\//.test(name))).toEqual([]);
    expect(entries.get("turn-1/stderr.log")?.toString()).toBe("not yet\n");
    // Nothing was said on stderr in the second turn: no empty file.
    expect(names).not.toContain("turn-2/stderr.log");
    const events = String(entries.get("events.jsonl"))
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(events).toEqual((await server.get(`/v1/jobs/${id}/events/history?limit=1000`)).body.events);
  });

  test("tells no variable of the run", async () => {
    for (const content of (await bundle(id, "/debug")).entries.values())
      expect(content.includes("t-secret")).toBe(false);
  });

  test("keeps artifacts apart that are named like its own files", async () => {
    const files = { "manifest.json": "{}", "result/result.json": "[]", "turn-1/prompt.txt": "mine" };
    for (const [path, content] of Object.entries(files)) {
      await server.harness.scenario([{ lines: answering({ ok: true, report: path }), files }]);
      const job = await server.done({ skill_id: "s", runtime_options: { no_cache: true } });
      for (const kind of ["", "/debug"] as const) {
        const { entries, manifest, names } = await bundle(job, kind);
        expect(manifest).toMatchObject({ request_id: job, files: names.slice(1) });
        expect(JSON.parse(String(entries.get("result/result.json")))).toMatchObject({ status: "success" });
        const named = kind === "" && path.startsWith("turn-") ? path : `workspace/${path}`;
        expect(entries.get(named)?.toString()).toBe(content);
      }
    }
  });

  test("of a job that failed says why", async () => {
    await server.harness.scenario([{ exitCode: 3, stderr: "boom" }]);
    const job = await server.job({ skill_id: "s" });
    await server.harness.ended(job);
    const { entries, manifest } = await bundle(job);
    expect(manifest).toMatchObject({ status: "failed", files: ["result/result.json"] });
    expect(JSON.parse(String(entries.get("result/result.json"))).error.code).toBe("PROCESS_EXIT_NONZERO");
  });

  test("is refused before the end", async () => {
    const waiting = await server.job({ skill_id: "report-from-file" });
    for (const kind of ["", "/debug"])
      expectProblem(await server.get(`/v1/jobs/${waiting}/bundle${kind}`), 409, "RESULT_NOT_READY");
  });
});

describe("the logs", () => {
  test.each([
    ["", 2, ""],
    ["?turn=1", 1, "not yet\n"],
    ["?turn=2", 2, ""],
  ])("%s tell a turn", async (query, turn, stderr) => {
    const { status, body } = await server.get(`/v1/jobs/${id}/logs${query}`);
    expect(status).toBe(200);
    expect(body).toMatchObject({ request_id: id, turn, turns: 2, stderr, truncated: [] });
    expect(body.prompt).not.toBe("");
    expect(body.stdout).toContain("thread.started");
  });

  test("of a turn that has not begun are empty, and say how many there are", async () => {
    const empty = { prompt: "", stdout: "", stderr: "", truncated: [] };
    expect((await server.get(`/v1/jobs/${id}/logs?turn=3`)).body).toMatchObject({
      turn: 3,
      turns: 2,
      ...empty,
    });
    const waiting = await server.job({ skill_id: "report-from-file" });
    expect((await server.get(`/v1/jobs/${waiting}/logs`)).body).toMatchObject({ turns: 0, ...empty });
  });

  test.each(["turn=0", "turn=-1", "turn=x", "turn=1.5", "turn=10001", "turn=..%2f1"])(
    "refuse %s",
    async (query) => {
      expectProblem(await server.get(`/v1/jobs/${id}/logs?${query}`), 422, "REQUEST_INVALID", [
        "/query/turn",
      ]);
    },
  );
});

test("the files are the workspace as a tree, without what is ours", async () => {
  const { entries, truncated } = (await server.get(`/v1/jobs/${id}/files`)).body;
  const paths: string[] = entries.map((entry: { path: string }) => entry.path);
  expect(truncated).toBe(false);
  expect(paths).toEqual(expect.arrayContaining(["artifacts", "artifacts/report.md", "uploads/source.md"]));
  expect(paths.filter((path) => path.startsWith(".git"))).toEqual([]);
  expect(paths.indexOf("artifacts")).toBeLessThan(paths.indexOf("artifacts/report.md"));
  expect(entries).toContainEqual({
    path: "notes.txt",
    name: "notes.txt",
    is_dir: false,
    depth: 0,
    bytes: 21,
  });
  const waiting = await server.job({ skill_id: "report-from-file" });
  expect((await server.get(`/v1/jobs/${waiting}/files`)).body.entries).toEqual([]);
});

describe("the events", () => {
  const history = async (query: string) => (await server.get(`/v1/jobs/${id}/events/history${query}`)).body;

  test("can be had in ranges that make the whole", async () => {
    const all = await history("");
    expect(all.count).toBe(all.events.length);
    const seen: object[] = [];
    for (let from = 1; ; ) {
      const { events } = await history(`?from_seq=${from}&limit=3`);
      if (events.length === 0) break;
      seen.push(...events);
      from = events.at(-1).seq + 1;
    }
    expect(seen).toEqual(all.events);
    const middle = (await history("?from_seq=2&to_seq=4")).events;
    expect(middle.map((event: { seq: number }) => event.seq)).toEqual([2, 3, 4]);
    expect(await history("?from_seq=5&to_seq=4")).toMatchObject({ count: 0, events: [] });
    expect(await history("?from_seq=100000")).toMatchObject({ count: 0, events: [] });
  });

  test.each(["from_seq=0", "to_seq=0", "limit=0", "limit=1001", "from_seq=x", "cursor=1"])(
    "refuse %s",
    async (query) => {
      const answer = await server.get(`/v1/jobs/${id}/events/history?${query}`);
      expectProblem(answer, 422, "REQUEST_INVALID", [`/query/${query.split("=")[0]}`]);
    },
  );
});
