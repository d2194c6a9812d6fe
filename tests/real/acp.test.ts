import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { matrixCases } from "./matrix-cases.ts";
import { play } from "./matrix-play.ts";
import { type AcpUnderTest, type MatrixServer, startMatrixServer } from "./matrix-server.ts";

/**
 * Real CLIs that speak the Agent Client Protocol, each known to the server by a definition alone: the built server over
 * real HTTP, and a scripted model on 127.0.0.1.
 */
const agents: Record<string, AcpUnderTest> = {
  "gemini-acp": {
    endpointOf: "gemini",
    definition: {
      command: "gemini",
      args: ["--acp", "--skip-trust"],
      env: { GEMINI_CLI_NO_RELAUNCH: "true" },
      model_arg: "--model",
      auth_method: "gemini-api-key",
      key_variables: ["GEMINI_API_KEY"],
    },
  },
  "opencode-acp": {
    endpointOf: "opencode",
    // It takes no model as an argument: its sessions have an option for it.
    definition: {
      command: "opencode",
      args: ["acp"],
      env: { OPENCODE_DISABLE_MODELS_FETCH: "1", npm_config_offline: "true" },
      settings: [".config/opencode/opencode.json"],
      // The one that the provider in opencode's settings reads.
      key_variables: ["OPENAI_API_KEY"],
    },
  },
  "qwen-acp": {
    endpointOf: "qwen",
    definition: {
      command: "qwen",
      args: ["--acp", "--auth-type", "openai"],
      model_arg: "--model",
      key_variables: ["OPENAI_API_KEY"],
    },
  },
};

/** What a CLI cannot do in this protocol; its own adapter, where it has one, can. */
const leftOut: Record<string, string[]> = {
  // It goes on retrying for minutes, and loading a session within the minute it was started in empties it (0.61).
  "gemini-acp": [
    ...["model 500", "resume", "repair turn", "bad JSON", "missing artifact"],
    ...["asks and is answered", "asks twice, then reads a file it was given"],
    "server killed, goes on in its session",
  ],
  "opencode-acp": ["model 500"],
  "qwen-acp": ["model 500"],
};

let matrix: MatrixServer;

beforeAll(async () => {
  matrix = await startMatrixServer([], join(import.meta.dirname, "../../data/cache/npm"), agents);
});
afterAll(() => matrix?.close());

describe.each(Object.keys(agents))("%s", (engine) => {
  test("is found, with the version it tells", async () => {
    const { engines } = (await matrix.server.json("GET", "/v1/engines")).body;
    const status = engines.find((candidate: { engine: string }) => candidate.engine === engine);
    expect(status).toMatchObject({ present: true, error: null, title: `${engine} (ACP)` });
    expect(status.cli_version_detected).toMatch(/^\d+\.\d+\.\d+/);
  });

  const cases = Object.entries(matrixCases).filter(([name]) => !(leftOut[engine] ?? []).includes(name));
  test.each(cases)("%s", (name, matrixCase) => play(matrix, engine, name, matrixCase));

  test("two runs at once with different models", async () => {
    const models = matrix.endpoints.get(engine)?.models ?? [];
    const runs = await Promise.all(models.map((model) => matrix.submit(engine, "at once", { model })));
    const ended = await Promise.all(runs.map(matrix.end));
    expect(ended.map(({ job }) => [job.status, job.error])).toEqual(models.map(() => ["succeeded", null]));
    const asked = runs.map((run) => new Set(matrix.requestsOf(run).map(({ model }) => model)));
    expect(asked).toEqual(models.map((model) => new Set([model.slice(model.indexOf("/") + 1)])));
  });
});
