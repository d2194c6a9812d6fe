import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { agents } from "../../../lib/agents/index.ts";
import { type Harness, startHarness } from "../../../tests/harness.ts";
import { installStandIn } from "../../../tests/stand-in.ts";
import getEngine from "./[engine]/index.get.ts";
import getModels from "./[engine]/models/index.get.ts";
import getManifest from "./[engine]/models/manifest.get.ts";
import addModels from "./[engine]/models/snapshots.post.ts";
import listEngines from "./index.get.ts";

let harness: Harness;
afterEach(() => harness.close());

const nothing = { noEngine: true, env: { PATH: "/nowhere" } };
const engines = async () => (await harness.call(listEngines)).body.engines;
const engine = async (id: string) => harness.call(getEngine, { params: { engine: id } });
const models = (id: string) => harness.call(getModels, { params: { engine: id } });
const unknown = ["hal", "..", "constructor", "__proto__", "CODEX", "upgrades"];

describe("GET /v1/engines", () => {
  test("says what is installed, and whether it can sign in", async () => {
    harness = await startHarness({ env: { OPENAI_API_KEY: "sk-secret" } });
    expect((await engines())[0]).toMatchObject({
      engine: "codex",
      present: true,
      cli_version_detected: "0.169.0",
      source: "managed",
      auth_ready: true,
    });
    expect(JSON.stringify(await engines())).not.toContain("sk-secret");
  });

  test("says what is not, and how to get it", async () => {
    harness = await startHarness(nothing);
    expect((await engines()).map((entry: { engine: string }) => entry.engine)).toEqual(
      agents.map(({ id }) => id),
    );
    expect((await engines())[0]).toMatchObject({
      engine: "codex",
      present: false,
      cli_version_detected: null,
      source: null,
      npm_package: "@openai/codex",
      how_to_install: expect.stringContaining("--upgrade-engine codex"),
      auth_ready: false,
    });
  });

  test.each([
    ["0", false, /LANDLOCK_ENABLED is 0/],
    ["1", true, /LANDLOCK_ENABLED is 1, and the sandbox of codex works here/],
  ])("says whether agents are sandboxed, and why (LANDLOCK_ENABLED=%s)", async (setting, enabled, reason) => {
    harness = await startHarness({ env: { LANDLOCK_ENABLED: setting } });
    const { landlock } = (await harness.call(listEngines)).body;
    expect(landlock).toEqual({ enabled, reason: expect.stringMatching(reason) });
    expect((await engine("codex")).body).toMatchObject(
      enabled
        ? { sandbox: "on", sandbox_reason: expect.stringContaining("works") }
        : { sandbox: "off", sandbox_reason: expect.stringContaining(landlock.reason) },
    );
  });
});

describe("GET /v1/engines/{engine}", () => {
  test("says all there is to know, and no path of this machine", async () => {
    harness = await startHarness();
    await mkdir(join(harness.folder, "home/.codex"));
    await writeFile(join(harness.folder, "home/.codex/auth.json"), "{}");
    const { status, body } = await engine("codex");
    expect(status).toBe(200);
    expect(body).toMatchObject({
      engine: "codex",
      present: true,
      path: "bin/codex",
      known_good_version: "0.169.0",
      wanted_version: "0.169.0",
      auth_ready: true,
      credential_files: { ".codex/auth.json": true },
      config_error: null,
      last_error: null,
      last_install: null,
      capabilities: { resume: true, output_schema: true, efforts: expect.arrayContaining(["high"]) },
      estimate: { memory_mib: expect.any(Number), processes: expect.any(Number) },
    });
    expect(JSON.stringify(body)).not.toContain(harness.folder);
  });

  test("tells a CLI that does not run, and a config folder that cannot be written", async () => {
    harness = await startHarness();
    await writeFile(join(harness.folder, "npm/bin/codex"), "#!/bin/sh\nexit 3\n");
    await writeFile(join(harness.folder, "home/.codex"), "a file");
    expect((await engine("codex")).body).toMatchObject({
      present: true,
      cli_version_detected: null,
      error: "codex --version did not answer (exit 3)",
      last_error: "codex --version did not answer (exit 3)",
      config_error: "The folder ~/.codex cannot be written (not a folder).",
      auth_ready: false,
    });
  });

  test("one in PATH goes by its name", async () => {
    const elsewhere = await mkdtemp(join(tmpdir(), "elsewhere-"));
    await installStandIn(elsewhere, []);
    harness = await startHarness({
      noEngine: true,
      env: { PATH: `${elsewhere}/bin:${process.env.PATH}`, SKILL_RUNNER_ENGINE_VERSIONS: "codex=latest" },
    });
    const { body } = await engine("codex");
    expect(body).toMatchObject({ source: "path", path: "codex", wanted_version: "latest" });
    expect(JSON.stringify(body)).not.toContain(elsewhere);
    await rm(elsewhere, { recursive: true });
  });

  test.each(unknown)("knows no %s", async (id) => {
    harness = await startHarness(nothing);
    expect(await engine(id)).toMatchObject({ status: 404, body: { code: "ENGINE_NOT_FOUND" } });
  });

  test("an engine that there is not stops the start", async () => {
    harness = await startHarness(nothing);
    const wrong = startHarness({ ...nothing, env: { SKILL_RUNNER_ENGINE_VERSIONS: "hal=1.0.0" } });
    await expect(wrong).rejects.toThrow(/SKILL_RUNNER_ENGINE_VERSIONS: there is no engine "hal"/);
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
    harness = await startHarness(nothing);
    expect((await models("codex")).body).toMatchObject({ fallback_reason: "cli_version_unknown" });
  });

  test.each(unknown)("knows no %s", async (id) => {
    harness = await startHarness(nothing);
    expect(await models(id)).toMatchObject({ status: 404, body: { code: "ENGINE_NOT_FOUND" } });
    const manifest = await harness.call(getManifest, { params: { engine: id } });
    expect(manifest).toMatchObject({ status: 404, body: { code: "ENGINE_NOT_FOUND" } });
  });
});

describe("lists of models that an operator adds", () => {
  const add = (body: object) => harness.call(addModels, { params: { engine: "codex" }, body });
  const version = async (said: string) => {
    const path = join(harness.folder, "npm/bin/codex");
    const text = await readFile(path, "utf8");
    await writeFile(path, text.replace(/codex-cli [\d.]+/, `codex-cli ${said}`));
  };

  test("are there after a restart, for the version they were added for", async () => {
    harness = await startHarness();
    expect(await add({ models: [{ id: "x" }] })).toMatchObject({
      status: 409,
      body: { code: "MODEL_SNAPSHOT_CONFLICT" },
    });
    await version("0.999.0");
    const models_ = [
      { id: "new-model", supported_effort: ["high"] },
      { id: "other", display_name: "Other" },
    ];
    expect(await add({ models: models_ })).toMatchObject({
      status: 200,
      body: {
        resolved_snapshot_version: "0.999.0",
        models: [
          { id: "new-model", display_name: "new-model", notes: null, supported_effort: ["high"] },
          { id: "other", display_name: "Other" },
        ],
      },
    });
    expect(await add({ models: [{ id: "again" }] })).toMatchObject({ status: 409 });
    await harness.restart();
    expect((await models("codex")).body).toMatchObject({
      snapshot_version_used: "0.999.0",
      models: [{ id: "new-model" }, { id: "other" }],
    });
    await version("0.169.0");
    expect((await models("codex")).body.snapshot_version_used).toBe("0.169.0");
  });

  test.each([
    [{}, "/models"],
    [{ models: [] }, "/models"],
    [{ models: [{ id: "" }] }, "/models/0/id"],
    [{ models: [{ id: "a" }, { id: "a" }] }, "/models"],
    [{ models: [{ id: "a", provider: "b" }] }, "/models/0/provider"],
    [{ models: [{ id: "a" }], version: "1.0.0" }, "/version"],
  ])("%j is refused", async (body, pointer) => {
    harness = await startHarness(nothing);
    expect(await add(body)).toMatchObject({ status: 422, body: { errors: [{ pointer }] } });
  });
});
