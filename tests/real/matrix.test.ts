import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { commandLines } from "../command-lines.ts";
import { type Endpoint, endpoints, prepareEndpoint } from "../endpoints.ts";
import { type ModelServer, startModelServer } from "../model-server/server.ts";
import { type RunningServer, startBuiltServer } from "../server-process.ts";
import { caseScript, type MatrixCase, matrixCases, skillFiles, wordsOf } from "./matrix-cases.ts";
import { type MatrixResults, writeResults } from "./matrix-results.ts";

/**
 * Every agent CLI against every way a run can go: the real CLIs, the built server over real HTTP, and a scripted model on
 * 127.0.0.1. docs/agents.md shows the results.
 */
const root = join(import.meta.dirname, "../..");
const agentIds = Object.keys(endpoints);

let folder: string;
let model: ModelServer;
let server: RunningServer;
const prepared = new Map<string, Endpoint>();
const results: MatrixResults = {};

beforeAll(async () => {
  // Not below /tmp: sandboxed tools may write there.
  await mkdir(join(root, "data"), { recursive: true });
  folder = await mkdtemp(join(root, "data/matrix-"));
  for (const [path, content] of Object.entries(skillFiles)) {
    await mkdir(dirname(join(folder, "skills/matrix", path)), { recursive: true });
    await writeFile(
      join(folder, "skills/matrix", path),
      typeof content === "string" ? content : JSON.stringify(content),
    );
  }
  model = await startModelServer(caseScript);
  const home = join(folder, "home");
  await mkdir(home);
  for (const id of agentIds) prepared.set(id, await prepareEndpoint(id, model.url, home));
  server = await startBuiltServer({
    HOME: home,
    SKILL_RUNNER_DATA_DIR: join(folder, "data"),
    SKILL_RUNNER_SKILLS_DIR: join(folder, "skills"),
    NPM_CONFIG_PREFIX: join(root, "data/cache/npm"),
    SKILL_RUNNER_CPU_FACTOR: "2",
    SKILL_RUNNER_MAX_REPAIR_TURNS: "1",
    ...Object.assign({}, ...[...prepared.values()].map(({ env }) => env)),
  });
});
afterAll(async () => {
  await server?.stop();
  await model?.close();
  await rm(folder, { recursive: true, force: true });
  await writeResults(results);
});

describe.each(agentIds)("%s", (engine) => {
  test("is installed", async () => {
    const { engines } = (await server.json("GET", "/v1/engines")).body;
    const status = engines.find((candidate: { engine: string }) => candidate.engine === engine);
    expect(status).toMatchObject({ present: true, error: null, auth_ready: true });
    results[engine] = { version: status.cli_version_detected, cases: {} };
  });

  test.each(Object.entries(matrixCases))("%s", async (name, matrixCase) => {
    const cases = results[engine]?.cases ?? {};
    cases[name] = "failed";
    await play(engine, name, matrixCase);
    cases[name] = "passed";
  });

  test("two runs at once with different models", async () => {
    const cases = results[engine]?.cases ?? {};
    cases["two runs at once"] = "failed";
    const models = prepared.get(engine)?.models ?? [];
    const runs = await Promise.all(models.map((name) => submit(engine, "at-once", { model: name })));
    const ended = await Promise.all(runs.map(end));
    expect(ended.map(({ job }) => [job.status, job.error])).toEqual(models.map(() => ["succeeded", null]));
    for (const [index, name] of models.entries()) {
      const asked = requestsOf(runs[index]?.text ?? "").map((request) => request.model);
      expect(new Set(asked)).toEqual(new Set([name.slice(name.indexOf("/") + 1)]));
    }
    cases["two runs at once"] = "passed";
  });
});

async function play(engine: string, name: string, matrixCase: MatrixCase): Promise<void> {
  const run = await submit(engine, name, { runtime_options: matrixCase.options });
  onTestFinished(async ({ task }) => {
    if (task.result?.state !== "fail") return;
    const { body } = await server.json("GET", `/v1/jobs/${run.id}/logs`);
    console.error(
      `${engine}, ${name}: stdout ${body.stdout.slice(-3000)}\nstderr ${body.stderr.slice(-2000)}`,
    );
    console.error(JSON.stringify((await server.json("GET", `/v1/jobs/${run.id}`)).body));
  });
  if (matrixCase.cancelWhen !== undefined) {
    const running = async () => (await commandLines()).filter((line) => line.includes(run.text));
    while ((await running()).length === 0) await sleep(50);
    const canceled = await server.json("POST", `/v1/jobs/${run.id}/cancel`);
    expect(canceled.body).toMatchObject({ status: "canceled", accepted: true });
    expect(await running()).toEqual([]);
  }
  const started = Date.now();
  const { job, result } = await end(run);
  expect({ status: job.status, code: job.error?.code ?? null }).toEqual({
    status: matrixCase.status,
    code: matrixCase.code ?? null,
  });
  if (matrixCase.withinMs !== undefined) expect(Date.now() - started).toBeLessThan(matrixCase.withinMs);
  if (matrixCase.data !== undefined) expect(result.data).toEqual(matrixCase.data);
  if (matrixCase.turns !== undefined) expect(job.turns).toBe(matrixCase.turns);
  if (matrixCase.remembers !== undefined) {
    expect(JSON.stringify(requestsOf(run.text).at(-1)?.raw)).toContain(matrixCase.remembers);
  }
  if (matrixCase.artifact !== undefined) {
    const artifact = await fetch(`${server.url}/v1/jobs/${run.id}/artifacts/artifacts/report.md`);
    expect(await artifact.text()).toBe(matrixCase.artifact);
    expect(job.usage.input_tokens).toBeGreaterThan(0);
    const { events } = (await server.json("GET", `/v1/jobs/${run.id}/events/history`)).body;
    const shell = events.filter(({ type }: { type: string }) => type === "assistant.command_execution");
    expect(shell.map((event: { data: { phase: string } }) => event.data.phase)).toEqual([
      "started",
      "completed",
    ]);
  }
}

interface Submitted {
  id: string;
  /** Words that stand in this run's prompts and in no other's. */
  text: string;
}

let runs = 0;
async function submit(engine: string, name: string, more: object): Promise<Submitted> {
  runs += 1;
  const text = wordsOf(name, runs);
  const [model] = prepared.get(engine)?.models ?? [];
  const { status, body } = await server.json("POST", "/v1/jobs", {
    skill_id: "matrix",
    engine,
    model,
    input: { text },
    ...more,
  });
  expect({ status, body }).toMatchObject({ status: 200 });
  return { id: body.request_id, text };
}

async function end({ id }: Submitted) {
  for (;;) {
    const job = (await server.json("GET", `/v1/jobs/${id}`)).body;
    if (["succeeded", "failed", "canceled"].includes(job.status)) {
      return { job, result: (await server.json("GET", `/v1/jobs/${id}/result`)).body.result };
    }
    await sleep(50);
  }
}

/** The model calls of one run's own conversation; side calls of the CLI (titles, checks) are not among them. */
function requestsOf(text: string) {
  return model.requests
    .map((request) => request.model)
    .filter((request) => request !== undefined)
    .filter((request) => request.allText.includes(text) && JSON.stringify(request.raw).includes('"tools"'));
}
