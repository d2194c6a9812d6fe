import { afterEach, describe, expect, test } from "vitest";
import { type Harness, startHarness } from "../../../tests/harness.ts";
import getModels from "./[engine]/models.get.ts";
import listEngines from "./index.get.ts";

let harness: Harness;
afterEach(() => harness.close());

const engines = async () => (await harness.call(listEngines)).body.engines;
const models = (engine: string) => harness.call(getModels, { params: { engine } });

describe("GET /v1/engines", () => {
  test("says what is installed, and whether it can sign in", async () => {
    harness = await startHarness({ env: { OPENAI_API_KEY: "sk-secret" } });
    expect(await engines()).toMatchObject([
      {
        engine: "codex",
        present: true,
        cli_version_detected: "0.169.0",
        source: "managed",
        auth_ready: true,
      },
    ]);
    expect(JSON.stringify(await engines())).not.toContain("sk-secret");
  });

  test("says what is not, and how to get it", async () => {
    harness = await startHarness({ noEngine: true, env: { PATH: "/nowhere" } });
    expect(await engines()).toMatchObject([
      {
        engine: "codex",
        present: false,
        cli_version_detected: null,
        source: null,
        npm_package: "@openai/codex",
        auth_ready: false,
      },
    ]);
  });
});

describe("GET /v1/engines/{engine}/models", () => {
  test("lists the models of the installed version, or of the newest known one", async () => {
    harness = await startHarness();
    const { body } = await models("codex");
    expect(body).toMatchObject({ engine: "codex", cli_version_detected: "0.169.0", fallback_reason: null });
    expect(body.models.length).toBeGreaterThan(0);
    expect(new Set(body.models.map((model: { id: string }) => model.id)).size).toBe(body.models.length);
    await harness.close();
    harness = await startHarness({ noEngine: true, env: { PATH: "/nowhere" } });
    expect((await models("codex")).body).toMatchObject({ fallback_reason: "cli_version_unknown" });
  });

  test.each(["hal", "..", "constructor", "__proto__", "CODEX"])("knows no %s", async (engine) => {
    harness = await startHarness();
    expect(await models(engine)).toMatchObject({ status: 404, body: { code: "ENGINE_NOT_FOUND" } });
  });
});
