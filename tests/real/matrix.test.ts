import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { commandLines } from "../command-lines.ts";
import { endpoints } from "../endpoints.ts";
import { type MatrixCase, matrixCases } from "./matrix-cases.ts";
import { type MatrixResults, writeResults } from "./matrix-results.ts";
import { type MatrixServer, type SubmittedRun, startMatrixServer } from "./matrix-server.ts";

/**
 * Every agent CLI against every way a run can go: the real CLIs, the built server over real HTTP, and a scripted model on
 * 127.0.0.1. docs/agents.md shows the results.
 */
const agentIds = Object.keys(endpoints);
const twoAtOnce = "two runs at once with different models";

let matrix: MatrixServer;
const results: MatrixResults = {};

beforeAll(async () => {
  matrix = await startMatrixServer(agentIds, join(import.meta.dirname, "../../data/cache/npm"));
});
afterAll(async () => {
  await matrix?.close();
  await writeResults(results);
});

describe.each(agentIds)("%s", (engine) => {
  const record = async (name: string, play: () => Promise<void>) => {
    const cases = results[engine]?.cases ?? {};
    cases[name] = "failed";
    await play();
    cases[name] = "passed";
  };

  test("is installed", async () => {
    const { engines } = (await matrix.server.json("GET", "/v1/engines")).body;
    const status = engines.find((candidate: { engine: string }) => candidate.engine === engine);
    results[engine] = { version: status.cli_version_detected, cases: {} };
    expect(status).toMatchObject({ present: true, error: null, auth_ready: true });
  });

  test.each(Object.entries(matrixCases))("%s", (name, matrixCase) =>
    record(name, () => play(engine, name, matrixCase)),
  );

  test(twoAtOnce, () =>
    record(twoAtOnce, async () => {
      const models = matrix.endpoints.get(engine)?.models ?? [];
      const runs = await Promise.all(models.map((model) => matrix.submit(engine, "at once", { model })));
      const ended = await Promise.all(runs.map(matrix.end));
      expect(ended.map(({ job }) => [job.status, job.error])).toEqual(models.map(() => ["succeeded", null]));
      const asked = runs.map((run) => new Set(matrix.requestsOf(run).map(({ model }) => model)));
      expect(asked).toEqual(models.map((model) => new Set([model.slice(model.indexOf("/") + 1)])));
    }),
  );
});

async function play(engine: string, name: string, expected: MatrixCase): Promise<void> {
  const { server } = matrix;
  const run = await matrix.submit(engine, name, { runtime_options: expected.options ?? {} });
  const started = Date.now();
  explainFailure(run);
  if (expected.cancelWhen !== undefined) await cancelInTool(run);
  const { job, result } = await matrix.end(run);
  const { status, error, turns } = job;
  expect({ status, code: error?.code }).toEqual({ status: expected.status, code: expected.code });
  expect(Date.now() - started).toBeLessThan(expected.withinMs ?? 60_000);
  if (expected.data !== undefined) expect(result.data).toEqual(expected.data);
  if (expected.turns !== undefined) expect(turns).toBe(expected.turns);
  if (expected.remembers !== undefined) {
    expect(JSON.stringify(matrix.requestsOf(run).at(-1)?.raw)).toContain(expected.remembers);
  }
  if (expected.artifact === undefined) return;
  const artifact = await fetch(`${server.url}/v1/jobs/${run.id}/artifacts/artifacts/report.md`);
  expect(await artifact.text()).toBe(expected.artifact);
  expect(job.usage.input_tokens).toBeGreaterThan(0);
  const { events } = (await server.json("GET", `/v1/jobs/${run.id}/events/history`)).body;
  const shell = events.filter(({ type }: { type: string }) => type === "assistant.command_execution");
  expect(shell.map(({ data }: { data: { phase: string } }) => data.phase)).toEqual(["started", "completed"]);
}

async function cancelInTool(run: SubmittedRun): Promise<void> {
  const tools = async () => (await commandLines()).filter((line) => line.includes(run.words));
  while ((await tools()).length === 0) await sleep(50);
  const { body } = await matrix.server.json("POST", `/v1/jobs/${run.id}/cancel`);
  expect(body).toMatchObject({ status: "canceled", accepted: true });
  expect(await tools()).toEqual([]);
}

/** What one wants to see of a run that did not go as expected. */
function explainFailure({ id }: SubmittedRun): void {
  onTestFinished(async ({ task }) => {
    if (task.result?.state !== "fail") return;
    const { stdout, stderr } = (await matrix.server.json("GET", `/v1/jobs/${id}/logs`)).body;
    const { body: job } = await matrix.server.json("GET", `/v1/jobs/${id}`);
    console.error(`${JSON.stringify(job)}\nstdout: ${stdout.slice(-3000)}\nstderr: ${stderr.slice(-2000)}`);
  });
}
