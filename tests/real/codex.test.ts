import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ZipFile } from "yazl";
import { commandLines } from "../command-lines.ts";
import { byPrompt, type ModelServer, startModelServer } from "../model-server/server.ts";
import { type RunningServer, startBuiltServer } from "../server-process.ts";

/** The real codex, the built server over real HTTP, and a scripted model on 127.0.0.1: nothing else is pretended. */
const root = join(import.meta.dirname, "../..");
const prefix = join(root, "data/cache/npm");

const stats = {
  word_count: 3,
  sentence_count: 1,
  top_words: ["a"],
  detected_language: "en",
  summary: "Three words.",
};
const reportAnswer = { title: "T", key_points: ["p"], report: "artifacts/report.md" };
const writeReport = {
  kind: "tool",
  command: "mkdir -p artifacts && cp uploads/notes.md artifacts/report.md",
} as const;

const script = byPrompt([
  { match: "CASE-hang", steps: [{ kind: "hang" }] },
  { match: "CASE-sleep", steps: [{ kind: "tool", command: "setsid sleep 31415 & sleep 31415" }] },
  { match: "CASE-401", steps: [{ kind: "error", status: 401, message: "Incorrect API key provided." }] },
  { match: "CASE-400", steps: [{ kind: "error", status: 400, message: "No such model." }] },
  {
    match: "CASE-env",
    steps: [
      { kind: "tool", command: "env" },
      { kind: "text", text: JSON.stringify(stats) },
    ],
  },
  {
    match: "CASE-outside",
    steps: [
      { kind: "tool", command: "echo x > ../../escape.txt; echo y > $HOME/escape.txt; ls ../.. | wc -l" },
      { kind: "text", text: JSON.stringify(stats) },
    ],
  },
  { match: "CASE-stats", steps: [{ kind: "text", text: JSON.stringify(stats) }] },
  { match: "$report-from-file", steps: [writeReport, { kind: "text", text: JSON.stringify(reportAnswer) }] },
  {
    match: "$csv-profile",
    steps: [
      {
        kind: "tool",
        command: "python3 .agents/skills/csv-profile/scripts/profile.py uploads/t.csv --out artifacts",
      },
      {
        kind: "text",
        text: JSON.stringify({
          rows: 2,
          columns: 2,
          findings: [],
          profile: "artifacts/profile.json",
          report: "artifacts/profile.md",
        }),
      },
    ],
  },
  { match: "$haiku", steps: [{ kind: "text", text: "An old silent pond" }] },
  { match: "last answer cannot be accepted", steps: [{ kind: "text", text: '{"status":"ok","checks":2}' }] },
  { match: "$contract-check", steps: [{ kind: "text", text: '{"status": "broken", "checks": 3}' }] },
]);

let folder: string;
let model: ModelServer;
let server: RunningServer;

beforeAll(async () => {
  // Not below /tmp: codex's sandbox lets tools write there.
  await mkdir(join(root, "data"), { recursive: true });
  folder = await mkdtemp(join(root, "data/real-codex-"));
  await mkdir(join(folder, "home/.codex"), { recursive: true });
  model = await startModelServer(script);
  server = await start();
});
const start = (env: Record<string, string> = {}) =>
  startBuiltServer({
    HOME: join(folder, "home"),
    SKILL_RUNNER_DATA_DIR: join(folder, "data"),
    NPM_CONFIG_PREFIX: prefix,
    SKILL_RUNNER_CPU_FACTOR: "2",
    OPENAI_API_KEY: "sk-real-test",
    OPENAI_BASE_URL: `${model.url}/v1`,
    ...env,
  });
afterAll(async () => {
  await server?.stop();
  await model?.close();
  await rm(folder, { recursive: true, force: true });
});

const post = (path: string, body: object) => server.json("POST", path, body);
const job = async (id: string) => (await server.json("GET", `/v1/jobs/${id}`)).body;
const statsJob = (text: string, more: object = {}) =>
  post("/v1/jobs", {
    skill_id: "text-stats",
    model: "gpt-5.5",
    input: { text },
    runtime_options: { no_cache: true },
    ...more,
  });

async function run(accepted: { status: number; body: { request_id: string } }) {
  expect(accepted).toMatchObject({ status: 200 });
  const id = accepted.body.request_id;
  for (;;) {
    const now = await job(id);
    if (["succeeded", "failed", "canceled"].includes(now.status)) {
      return { id, job: now, result: (await server.json("GET", `/v1/jobs/${id}/result`)).body.result };
    }
    await sleep(50);
  }
}

async function upload(id: string, files: Record<string, string>) {
  const zip = new ZipFile();
  for (const [name, text] of Object.entries(files)) zip.addBuffer(Buffer.from(text), name);
  zip.end();
  const form = new FormData();
  form.set("file", new Blob([await buffer(zip.outputStream)]), "files.zip");
  const response = await fetch(`${server.url}/v1/jobs/${id}/upload`, { method: "POST", body: form });
  return { status: response.status, body: await response.json() };
}

test("the engine is found, at its pinned version, with its sandbox", async () => {
  const { body } = await server.json("GET", "/v1/engines");
  const [codex] = body.engines;
  expect(codex).toMatchObject({ engine: "codex", present: true, source: "managed", auth_ready: true });
  expect(codex.cli_version_detected).toBe(codex.known_good_version);
  const models = (await server.json("GET", "/v1/engines/codex/models")).body;
  expect(models).toMatchObject({ fallback_reason: null, source: "pinned_snapshot" });
});

test("inline input: checked data, asked for with the strict form of the output schema", async () => {
  const { job: done, result } = await run(await statsJob("CASE-stats one"));
  expect(done).toMatchObject({ status: "succeeded", turns: 1, warnings: [] });
  expect(result.data).toEqual(stats);
  const asked = model.requests.find((request) =>
    request.model?.lastUserText.includes("CASE-stats one"),
  )?.model;
  expect(asked?.outputSchema).toMatchObject({
    type: "object",
    additionalProperties: false,
    required: expect.any(Array),
  });
  expect(asked?.headers.authorization).toBe("Bearer sk-real-test");
});

test("the skill's instructions reach the model, those of folders above the workspace do not", async () => {
  await mkdir(join(folder, "data/.agents/skills/stray"), { recursive: true });
  await writeFile(join(folder, "data/AGENTS.md"), "Stray instructions.");
  const stray = "---\nname: stray\ndescription: A stray skill.\n---\nStray.\n";
  await writeFile(join(folder, "data/.agents/skills/stray/SKILL.md"), stray);
  await run(await statsJob("CASE-stats instructions"));
  const asked = model.requests.find((request) =>
    request.model?.lastUserText.includes("CASE-stats instructions"),
  )?.model;
  expect(asked?.allText).toContain("<name>text-stats</name>");
  expect(asked?.allText).not.toMatch(/stray/i);
});

test("file input: the tool reads it, the artifact is served", async () => {
  const accepted = await post("/v1/jobs", {
    skill_id: "report-from-file",
    model: "gpt-5.5",
    input: { source: "notes.md" },
  });
  expect(accepted.body.status).toBeNull();
  expect((await upload(accepted.body.request_id, { "notes.md": "# Notes\n" })).body).toMatchObject({
    status: "queued",
  });
  const { id, result } = await run(accepted);
  expect(result).toMatchObject({ status: "success", data: reportAnswer, artifacts: ["artifacts/report.md"] });
  const artifact = await fetch(`${server.url}/v1/jobs/${id}/artifacts/artifacts/report.md`);
  expect(await artifact.text()).toBe("# Notes\n");
});

test("a skill's script runs inside the agent's tool call", async () => {
  const accepted = await post("/v1/jobs", {
    skill_id: "csv-profile",
    model: "gpt-5.5",
    input: { table: "t.csv" },
  });
  await upload(accepted.body.request_id, { "t.csv": "a,b\n1,2\n3,4\n" });
  const { id, result } = await run(accepted);
  expect(result.artifacts).toEqual(["artifacts/profile.json", "artifacts/profile.md"]);
  const profile = await fetch(`${server.url}/v1/jobs/${id}/artifacts/artifacts/profile.json`);
  expect(await profile.json()).toMatchObject({ rows: 2 });
});

test("a plain Agent Skill runs with free text", async () => {
  const { result } = await run(
    await post("/v1/jobs", { skill_id: "haiku", model: "gpt-5.5", input: { prompt: "a pond" } }),
  );
  expect(result).toMatchObject({ status: "success", data: { text: "An old silent pond" } });
});

test("a bad answer is mended in the same codex session", async () => {
  const { job: done, result } = await run(
    await post("/v1/jobs", { skill_id: "contract-check", model: "gpt-5.5" }),
  );
  expect(result).toMatchObject({ status: "success", data: { status: "ok", checks: 2 } });
  expect(done).toMatchObject({ turns: 2, session_id: expect.stringMatching(/^[0-9a-f-]{36}$/) });
  const repair = model.requests.find((request) => request.model?.lastUserText.includes("- /status"))?.model;
  expect(repair?.outputSchema).toMatchObject({ type: "object", additionalProperties: false });
  // The second question was asked in the conversation that holds the first answer.
  expect(JSON.stringify(repair?.raw)).toContain("broken");
  expect(repair?.allText).toContain("$contract-check");
});

describe("failures", () => {
  test("a refused key ends the run early, as AUTH_REQUIRED", async () => {
    const started = Date.now();
    const { job: done } = await run(await statsJob("CASE-401"));
    expect(done.error.code).toBe("AUTH_REQUIRED");
    expect(Date.now() - started).toBeLessThan(6_000);
  });

  test("a model error is one", async () => {
    expect((await run(await statsJob("CASE-400"))).job.error).toMatchObject({
      code: expect.stringMatching(/MODEL_ERROR|AGENT_FAILED/),
    });
  });

  test("the hard timeout ends a run whose model never answers", async () => {
    const { job: done } = await run(
      await statsJob("CASE-hang", { runtime_options: { hard_timeout_seconds: 2 } }),
    );
    expect(done.error.code).toBe("TIMEOUT");
  });

  test.each([
    ["sandboxed", "1"],
    ["unsandboxed", "0"],
  ])(
    "cancel in the middle of a tool call leaves no process, not even one that called setsid: %s",
    async (_how, landlock) => {
      await server.stop();
      server = await start({ LANDLOCK_ENABLED: landlock });
      const accepted = await statsJob("CASE-sleep");
      const id = accepted.body.request_id;
      while (!(await commandLines()).some((line) => line.includes("sleep 31415"))) await sleep(50);
      const canceled = await server.json("POST", `/v1/jobs/${id}/cancel`);
      expect(canceled.body).toMatchObject({ status: "canceled", accepted: true });
      expect((await commandLines()).filter((line) => line.includes("sleep 31415"))).toEqual([]);
      await server.stop();
      server = await start();
    },
  );
});

test("tools see neither the server's keys nor may they write outside the workspace", async () => {
  const { id } = await run(await statsJob("CASE-env"));
  const { body: logs } = await server.json("GET", `/v1/jobs/${id}/logs`);
  expect(logs.stdout).toContain("PATH=");
  expect(logs.stdout).not.toContain("sk-real-test");
  const [codex] = (await server.json("GET", "/v1/engines")).body.engines;
  const { id: outside } = await run(await statsJob("CASE-outside"));
  const escaped = await readFile(join(folder, "home/escape.txt"), "utf8").catch(() => null);
  if (codex.sandbox === "on") {
    expect(escaped).toBeNull();
    const day = (await readdir(join(folder, "data/runs")))[0] ?? "";
    expect(await readdir(join(folder, "data/runs", day))).not.toContain("escape.txt");
  } else {
    const { warnings } = await job(outside);
    expect(warnings).toMatchObject([{ code: "SANDBOX_UNAVAILABLE" }]);
  }
});

test("two runs at once with different models do not mix", async () => {
  const [a, b] = await Promise.all([
    run(await statsJob("CASE-stats left", { model: "gpt-5.5@low" })),
    run(await statsJob("CASE-stats right", { model: "gpt-6-sol@high" })),
  ]);
  expect([a.job.status, b.job.status]).toEqual(["succeeded", "succeeded"]);
  const askedFor = (text: string) =>
    model.requests.find((request) => request.model?.lastUserText.includes(text))?.body;
  expect(askedFor("CASE-stats left")).toMatchObject({ model: "gpt-5.5", reasoning: { effort: "low" } });
  expect(askedFor("CASE-stats right")).toMatchObject({ model: "gpt-6-sol", reasoning: { effort: "high" } });
});
