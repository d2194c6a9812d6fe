import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { packageFiles, skillOf, skillText, temporaryFolder, writeFiles } from "./fixtures.test-support.ts";
import { createSkillRegistry } from "./registry.ts";

const badManifest = (manifest: Record<string, unknown>) => packageFiles("demo", {}, manifest);
const badOutput = (schema: unknown) => packageFiles("demo", { "assets/output.schema.json": schema });
const property = (schema: object) => ({ type: "object", properties: { x: schema } });
/** Compiling it takes some ten seconds. */
const anyOfAnyOf = (depth: number): object =>
  depth === 0 ? { minLength: 1 } : { anyOf: [anyOfAnyOf(depth - 1), anyOfAnyOf(depth - 1)] };

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
    [
      "a schema that takes for ever to prepare",
      badOutput(property(anyOfAnyOf(15))),
      "assets/output.schema.json#",
    ],
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
