import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished } from "vitest";
import { commandLines } from "../command-lines.ts";
import type { MatrixCase } from "./matrix-cases.ts";
import type { MatrixServer, SubmittedRun } from "./matrix-server.ts";

/** Plays one case through the server and checks all that its caller must see. */
export async function play(
  matrix: MatrixServer,
  engine: string,
  name: string,
  expected: MatrixCase,
): Promise<void> {
  const { server } = matrix;
  const run = await matrix.submit(engine, name, { runtime_options: expected.options ?? {} });
  const started = Date.now();
  explainFailure(matrix, run);
  if (expected.cancelWhen !== undefined) await cancelInTool(matrix, run);
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
  const phases = shell.map(({ data }: { data: { phase: string } }) => data.phase);
  expect(phases).toEqual(tellsItsTools(engine) ? ["started", "completed"] : []);
}

/** iflow prints text alone: which tools it used is not in it. */
const tellsItsTools = (engine: string) => engine !== "iflow";

async function cancelInTool(matrix: MatrixServer, run: SubmittedRun): Promise<void> {
  const tools = async () => (await commandLines()).filter((line) => line.includes(run.words));
  while ((await tools()).length === 0) await sleep(50);
  const { body } = await matrix.server.json("POST", `/v1/jobs/${run.id}/cancel`);
  expect(body).toMatchObject({ status: "canceled", accepted: true });
  expect(await tools()).toEqual([]);
}

/** What one wants to see of a run that did not go as expected. */
function explainFailure(matrix: MatrixServer, { id }: SubmittedRun): void {
  onTestFinished(async ({ task }) => {
    if (task.result?.state !== "fail") return;
    const { stdout, stderr } = (await matrix.server.json("GET", `/v1/jobs/${id}/logs`)).body;
    const { body: job } = await matrix.server.json("GET", `/v1/jobs/${id}`);
    console.error(`${JSON.stringify(job)}\nstdout: ${stdout.slice(-3000)}\nstderr: ${stderr.slice(-2000)}`);
  });
}
