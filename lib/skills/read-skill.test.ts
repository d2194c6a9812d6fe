import { describe, expect, it } from "vitest";
import { anyOutput, packageFiles, skillOf, skillText } from "./fixtures.test-support.ts";

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
      default_options: { no_cache: true, priority: 11, verbose: 1, hard_timeout_seconds: "long", env: null },
    };
    const skill = await skillOf("demo", packageFiles("demo", {}, { runtime }));
    expect(skill.errors).toEqual([]);
    expect(skill.manifest.runtime).toMatchObject({ language: "python", default_options: { no_cache: true } });
    expect(skill.warnings.map((issue) => [issue.pointer, issue.code])).toEqual(
      ["priority", "verbose", "hard_timeout_seconds", "env"].map((name) => [
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
