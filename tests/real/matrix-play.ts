import { expect, onTestFinished } from "vitest";
import type { MatrixCase } from "./matrix-cases.ts";
import { happen } from "./matrix-happenings.ts";
import type { MatrixServer, SubmittedRun } from "./matrix-server.ts";

/** Plays one case through the server and checks all that its caller must see. */
export async function play(
  matrix: MatrixServer,
  engine: string,
  name: string,
  matrixCase: MatrixCase,
): Promise<void> {
  const expected = matrixCase.instead?.[engine] ?? matrixCase;
  const run = await matrix.submit(engine, name, { runtime_options: matrixCase.options ?? {} });
  const started = Date.now();
  explainFailure(matrix, run);
  for (const happening of matrixCase.meanwhile ?? []) await happen(matrix, run, happening);
  const { job, result } = await matrix.end(run);
  const { status, error, turns, current_attempt: attempts } = job;
  expect({ status, code: error?.code, attempts }).toEqual({
    status: expected.status,
    code: expected.code,
    attempts: expected.attempts ?? 1,
  });
  expect(Date.now() - started).toBeLessThan(expected.withinMs ?? 60_000);
  if (expected.data !== undefined) expect(result.data).toEqual(expected.data);
  if (expected.turns !== undefined) expect(turns).toBe(expected.turns);
  const last = JSON.stringify(matrix.requestsOf(run).at(-1)?.raw);
  for (const words of expected.remembers ?? []) expect(last).toContain(words);
  const codes = job.warnings.map(({ code }: { code: string }) => code);
  expect(codes).not.toContain("INTERACTIVE_COMPLETED_WITHOUT_DONE_MARKER");
  if (expected.artifact !== undefined) {
    await checkArtifact(matrix, run, expected.artifact);
    expect(job.usage.input_tokens).toBeGreaterThan(0);
  }
  if (expected.toolPhases !== undefined) await checkTools(matrix, run, expected.toolPhases);
}

async function checkArtifact({ server }: MatrixServer, { id }: SubmittedRun, content: string): Promise<void> {
  const artifact = await fetch(`${server.url}/v1/jobs/${id}/artifacts/artifacts/report.md`);
  expect(await artifact.text()).toBe(content);
}

async function checkTools({ server }: MatrixServer, { id }: SubmittedRun, phases: string[]): Promise<void> {
  const { events } = (await server.json("GET", `/v1/jobs/${id}/events/history`)).body;
  const shell = events.filter(({ type }: { type: string }) => type === "assistant.command_execution");
  expect(shell.map(({ data }: { data: { phase: string } }) => data.phase)).toEqual(phases);
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
