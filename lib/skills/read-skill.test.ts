import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  anyOutput,
  packageFiles,
  skillOf,
  skillText,
  temporaryFolder,
  writeFiles,
} from "./fixtures.test-support.ts";
import { createSkillRegistry } from "./registry.ts";

describe("a good package", () => {
  it("is read with its defaults filled in", async () => {
    const skill = await skillOf("demo", packageFiles("demo"));
    expect(skill.errors).toEqual([]);
    expect(skill.warnings).toEqual([]);
    expect(skill).toMatchObject({
      id: "demo",
      kind: "package",
      files: ["SKILL.md", "assets/output.schema.json", "assets/runner.json"],
      frontMatter: { name: "demo", description: "Does a thing." },
      manifest: {
        engines: ["codex"],
        effective_engines: ["codex"],
        max_attempt: null,
        entrypoint: { prompts: {}, result_json_filename: "demo.result.json" },
        mcp: { required_servers: [] },
      },
      schemas: { output: anyOutput },
    });
    expect(skill.instructions.trim()).toBe("# Instructions");
    expect(skill.hash).toMatch(/^[0-9a-f]{64}$/);
  });

  it("may start with a byte order mark and have CRLF line ends", async () => {
    const text = `\uFEFF${skillText("demo").replaceAll("\n", "\r\n")}`;
    const skill = await skillOf("demo", packageFiles("demo", { "SKILL.md": text }));
    expect(skill.errors).toEqual([]);
    expect(skill.frontMatter.name).toBe("demo");
  });

  it("may have an old name with underscores, and engines this server has no agent for", async () => {
    const manifest = {
      engines: ["gemini", "codex"],
      engine_configs: { gemini: "assets/gemini_settings.json" },
    };
    const skill = await skillOf("old_name", packageFiles("old_name", {}, manifest));
    expect(skill.errors).toEqual([]);
    expect(skill.manifest.effective_engines).toEqual(["codex"]);
    expect(skill.warnings.map((issue) => issue.pointer)).toEqual([
      "SKILL.md#/name",
      "assets/runner.json#/engines/0",
      "assets/runner.json#/engine_configs/gemini",
    ]);
  });

  it("drops default options nobody knows, or with values nobody can use", async () => {
    const runtime = {
      default_options: { no_cache: true, verbose: 1, hard_timeout_seconds: "long", env: null },
    };
    const skill = await skillOf("demo", packageFiles("demo", {}, { runtime }));
    expect(skill.errors).toEqual([]);
    expect(skill.manifest.runtime).toMatchObject({ language: "python", default_options: { no_cache: true } });
    expect(skill.warnings.map((issue) => [issue.pointer, issue.code])).toEqual(
      ["verbose", "hard_timeout_seconds", "env"].map((name) => [
        `assets/runner.json#/runtime/default_options/${name}`,
        "SKILL_RUNTIME_DEFAULT_OPTION_IGNORED",
      ]),
    );
  });

  it("finds schemas where the manifest says, and in the usual place when that leads nowhere", async () => {
    const declared = { schemas: { output: "contracts/out.json", input: "../../outside.json" } };
    const skill = await skillOf(
      "demo",
      packageFiles(
        "demo",
        {
          "contracts/out.json": { type: "object", title: "there" },
          "assets/input.schema.json": { type: "object" },
        },
        declared,
      ),
    );
    expect(skill.errors).toEqual([]);
    expect(skill.schemas.output?.title).toBe("there");
    expect(skill.schemas.input).toEqual({ type: "object" });
    expect(skill.warnings).toEqual([
      { pointer: "assets/runner.json#/schemas/input", message: expect.stringContaining("is used instead") },
    ]);
  });

  it("has a hash that follows content, and not what git keeps beside it", async () => {
    const plain = await skillOf("demo", packageFiles("demo"));
    const same = await skillOf("demo", packageFiles("demo", { ".git/HEAD": "x", "sub/.git/HEAD": "y" }));
    const other = await skillOf("demo", packageFiles("demo", { "references/more.md": "" }));
    expect(same.hash).toBe(plain.hash);
    expect(other.hash).not.toBe(plain.hash);
  });
});

describe("a plain Agent Skill", () => {
  it("takes one free text on every engine", async () => {
    const text = skillText("poet", "metadata:\n  version: 1.5\nallowed-tools: Bash Read\n");
    const skill = await skillOf("poet", { "SKILL.md": text });
    expect(skill.errors).toEqual([]);
    expect(skill.kind).toBe("plain");
    expect(skill.manifest).toMatchObject({
      version: "1.5",
      effective_engines: ["codex"],
      execution_modes: ["auto"],
    });
    expect(skill.frontMatter.allowed_tools).toBe("Bash Read");
    expect(Object.keys(skill.schemas)).toEqual(["input"]);
  });

  it("must have a name by the specification", async () => {
    const skill = await skillOf("bad_name", { "SKILL.md": skillText("bad_name") });
    expect(skill.errors.map((issue) => issue.pointer)).toEqual(["SKILL.md#/name"]);
  });
});

const badManifest = (manifest: Record<string, unknown>) => packageFiles("demo", {}, manifest);
const badOutput = (schema: unknown) => packageFiles("demo", { "assets/output.schema.json": schema });
const property = (schema: object) => ({ type: "object", properties: { x: schema } });

describe("a broken package", () => {
  it.each<[what: string, files: Record<string, unknown>, pointer: string]>([
    ["no SKILL.md", packageFiles("demo", { "SKILL.md": undefined }), "SKILL.md"],
    [
      "no runner.json but schemas",
      packageFiles("demo", { "assets/runner.json": undefined }),
      "assets/runner.json",
    ],
    ["no front matter", packageFiles("demo", { "SKILL.md": "# Hi" }), "SKILL.md"],
    ["broken YAML", packageFiles("demo", { "SKILL.md": "---\nname: [\n---\n" }), "SKILL.md"],
    ["another name", packageFiles("demo", { "SKILL.md": skillText("other") }), "SKILL.md#/name"],
    [
      "no description",
      packageFiles("demo", { "SKILL.md": "---\nname: demo\n---\n" }),
      "SKILL.md#/description",
    ],
    ["cut JSON", packageFiles("demo", { "assets/runner.json": '{"id": "de' }), "assets/runner.json"],
    ["another id", badManifest({ id: "other" }), "assets/runner.json#/id"],
    ["no modes", badManifest({ execution_modes: [] }), "assets/runner.json#/execution_modes"],
    [
      "a mode twice",
      badManifest({ execution_modes: ["auto", "auto"] }),
      "assets/runner.json#/execution_modes",
    ],
    ["an unknown mode", badManifest({ execution_modes: ["batch"] }), "assets/runner.json#/execution_modes/0"],
    ["an unknown engine", badManifest({ engines: ["codex", "hal"] }), "assets/runner.json#/engines/1"],
    ["no engine we have", badManifest({ engines: ["gemini"] }), "assets/runner.json#/engines"],
    [
      "every engine denied",
      badManifest({ unsupported_engines: ["codex"] }),
      "assets/runner.json#/unsupported_engines",
    ],
    ["the old key", badManifest({ unsupport_engine: ["codex"] }), "assets/runner.json#/unsupport_engine"],
    ["no attempts", badManifest({ max_attempt: 0 }), "assets/runner.json#/max_attempt"],
    [
      "a config for nobody",
      badManifest({ engine_configs: { hal: "x" } }),
      "assets/runner.json#/engine_configs/hal",
    ],
    [
      "a bad template",
      badManifest({ entrypoint: { prompts: { common: "{% if %}" } } }),
      "assets/runner.json#/entrypoint/prompts/common",
    ],
    ["no output schema", badOutput(undefined), "assets/output.schema.json"],
    ["an array schema", badOutput({ type: "array" }), "assets/output.schema.json#/type"],
    ["a boolean schema", badOutput(true), "assets/output.schema.json#/type"],
    [
      "an unknown type",
      badOutput(property({ type: "strin" })),
      "assets/output.schema.json#/properties/x/type",
    ],
    ["a bad required", badOutput({ type: "object", required: "x" }), "assets/output.schema.json#/required"],
    ["a remote reference", badOutput(property({ $ref: "http://127.0.0.1/x" })), "assets/output.schema.json#"],
    [
      "an unknown x-type",
      badOutput(property({ "x-type": "blob" })),
      "assets/output.schema.json#/properties/x/x-type",
    ],
    [
      "no x-role",
      badOutput(property({ "x-type": "artifact" })),
      "assets/output.schema.json#/properties/x/x-role",
    ],
    [
      "an unknown source",
      packageFiles("demo", { "assets/input.schema.json": property({ "x-input-source": "net" }) }),
      "assets/input.schema.json#/properties/x/x-input-source",
    ],
  ])("with %s is listed with the place of the mistake", async (_what, files, pointer) => {
    const skill = await skillOf("demo", files);
    expect(skill.errors.map((issue) => issue.pointer)).toContain(pointer);
    expect(JSON.stringify(skill.errors)).not.toContain(skill.dir);
  });

  it("names an engine that is both allowed and denied", async () => {
    const lists = { engines: ["codex", "claude"], unsupported_engines: ["claude"] };
    const skill = await skillOf("demo", badManifest(lists));
    expect(skill.errors).toEqual([
      { pointer: "assets/runner.json#/engines/1", message: expect.stringContaining("keep it in one") },
    ]);
  });

  it("may not link out of itself", async () => {
    const root = await temporaryFolder();
    await writeFiles(join(root, "demo"), packageFiles("demo"));
    await writeFile(join(root, "secret"), "x");
    await symlink("../secret", join(root, "demo/secret"));
    await symlink("SKILL.md", join(root, "demo/alias.md"));
    await symlink("assets", join(root, "demo/loop"));
    const skill = await createSkillRegistry({ root, engines: ["codex"] }).get("demo");
    expect(skill.files).toContain("alias.md");
    expect(skill.errors.map((issue) => issue.pointer).sort()).toEqual(["loop", "secret"]);
  });

  it("may not have more files than a run can bear", async () => {
    const root = await temporaryFolder();
    await writeFiles(join(root, "demo"), packageFiles("demo"));
    await mkdir(join(root, "demo/many"));
    await Promise.all(Array.from({ length: 2000 }, (_, at) => writeFile(join(root, `demo/many/${at}`), "")));
    const skill = await createSkillRegistry({ root, engines: ["codex"] }).get("demo");
    expect(skill.errors[0]?.message).toContain("more than 2000 files");
  });
});
