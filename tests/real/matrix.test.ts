import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { endpoints } from "../endpoints.ts";
import { matrixCases } from "./matrix-cases.ts";
import { play } from "./matrix-play.ts";
import { type MatrixResults, writeResults } from "./matrix-results.ts";
import { type MatrixServer, startMatrixServer } from "./matrix-server.ts";

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
    record(name, () => play(matrix, engine, name, matrixCase)),
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
