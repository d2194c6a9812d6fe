import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { onTestFinished } from "vitest";
import { createSkillRegistry } from "./registry.ts";
import type { JsonSchema, Skill } from "./skill.ts";

/** A folder for one test, removed after it. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "skills-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes files (text, or data as JSON) below a folder. */
export async function writeFiles(folder: string, files: Readonly<Record<string, unknown>>): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), typeof content === "string" ? content : JSON.stringify(content));
  }
}

export const skillText = (name: string, more = "") =>
  `---\nname: ${name}\ndescription: Does a thing.\n${more}---\n\n# Instructions\n`;

export const anyOutput: JsonSchema = {
  type: "object",
  properties: { answer: { type: "string" } },
  required: ["answer"],
};

/** The files of a good package; `undefined` in `changes` leaves a file out. */
export function packageFiles(
  id: string,
  changes: Readonly<Record<string, unknown>> = {},
  manifest: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  const files = {
    "SKILL.md": skillText(id),
    "assets/runner.json": { id, version: "1.0.0", execution_modes: ["auto"], ...manifest },
    "assets/output.schema.json": anyOutput,
    ...changes,
  };
  return Object.fromEntries(Object.entries(files).filter(([, content]) => content !== undefined));
}

/** Writes a skill folder and reads it. */
export async function skillOf(id: string, files: Readonly<Record<string, unknown>>): Promise<Skill> {
  const root = await temporaryFolder();
  await writeFiles(join(root, id), files);
  return createSkillRegistry({ root, engines: ["codex"] }).get(id);
}

/** A package with the given schemas. */
export function skillWith(schemas: { input?: JsonSchema; parameter?: JsonSchema; output?: JsonSchema }) {
  const changes = Object.fromEntries(
    Object.entries(schemas).map(([key, schema]) => [`assets/${key}.schema.json`, schema]),
  );
  return skillOf("demo", packageFiles("demo", changes));
}
