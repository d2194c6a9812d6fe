import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type MatrixServer, startMatrixServer } from "./matrix-server.ts";

/** A codex from before `--full-auto` was removed and `resume` got options of its own: driven by the same adapter. */
const olderVersion = "0.98.0";

let matrix: MatrixServer;
beforeAll(async () => {
  matrix = await startMatrixServer(["codex"], join(import.meta.dirname, "../../data/cache/older-codex"));
});
afterAll(() => matrix?.close());

test("an older codex is told its sandbox in the spelling it takes", async () => {
  const { engines } = (await matrix.server.json("GET", "/v1/engines")).body;
  const codex = engines.find(({ engine }: { engine: string }) => engine === "codex");
  expect(codex).toMatchObject({ cli_version_detected: olderVersion, error: null });
  const run = await matrix.submit("codex", "success with tool call and artifact");
  const { job, result } = await matrix.end(run);
  expect(job).toMatchObject({ status: "succeeded", cli_version: olderVersion });
  expect(result.artifacts).toEqual(["artifacts/report.md"]);
  expect(job.warnings.map(({ code }: { code: string }) => code)).toEqual(
    codex.sandbox === "on" ? [] : ["SANDBOX_UNAVAILABLE"],
  );
});

test("an older codex resumes its session for a repair turn", async () => {
  const run = await matrix.submit("codex", "repair turn");
  expect((await matrix.end(run)).job).toMatchObject({ status: "succeeded", turns: 2 });
});
