import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { matrixCases } from "./matrix-cases.ts";
import { play } from "./matrix-play.ts";
import { type MatrixServer, startMatrixServer } from "./matrix-server.ts";

/** Real CLIs in the runner's sandbox: they work in it, resume in it, and leave nothing of a run where another one reads. */
const agentIds = ["codex", "claude", "opencode", "qwen", "gemini"];

let matrix: MatrixServer;
beforeAll(async () => {
  matrix = await startMatrixServer(
    agentIds,
    join(import.meta.dirname, "../../data/cache/npm"),
    {},
    { SKILL_RUNNER_SANDBOX: "auto" },
  );
});
afterAll(() => matrix?.close());

test.each(agentIds)("%s uses a tool and resumes, and HOME knows nothing of it", async (engine) => {
  const { engines, sandbox } = (await matrix.server.json("GET", "/v1/engines")).body;
  // Where it does not work, this says so by failing: .ci/run installs bubblewrap.
  expect(sandbox).toMatchObject({ works: true });
  const status = engines.find((candidate: { engine: string }) => candidate.engine === engine);
  expect(status.sandbox_by).toContain("bubblewrap");
  for (const name of ["success with tool call and artifact", "resume"]) {
    const matrixCase = matrixCases[name];
    if (matrixCase === undefined) throw new Error(`there is no case "${name}"`);
    await play(matrix, engine, name, matrixCase);
  }
  const entries = await readdir(matrix.home, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const texts = await Promise.all(files.map(async (file) => [file, await readFile(file, "latin1")] as const));
  expect(texts.filter(([, text]) => /\bmatrix\b/.test(text)).map(([file]) => file)).toEqual([]);
});
