import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { type Issue, RunnerError } from "../../errors.ts";
import { readSkillFolder } from "../read-folder.ts";
import type { Skill } from "../skill.ts";
import { isDottedNumber } from "./version.ts";

const declaration = z.object({ version: z.string() });

/**
 * Checks an unpacked package as the registry would, and that it says its version.
 * @param dir absolute path; its last part is the skill's id
 * @returns the version, a dotted number
 * @throws RunnerError SKILL_INVALID with every mistake, STORAGE_FAILED
 */
export async function checkPackage(dir: string, engines: readonly string[]): Promise<string> {
  const skill = await readSkillFolder(dir, { engines });
  if (skill.errors.length > 0) throw invalid(skill.id, skill.errors);
  const version = await declaredVersion(skill);
  if (version !== null && isDottedNumber(version)) return version;
  const pointer = skill.kind === "package" ? "assets/runner.json#/version" : "SKILL.md#/metadata/version";
  const said = version === null ? "is required" : `is "${version}"`;
  throw invalid(skill.id, [{ pointer, message: `${said}: give a dotted number like "1.2.0"` }]);
}

/** The manifest's own default would make every package without a version look like 1.0.0. */
async function declaredVersion(skill: Skill): Promise<string | null> {
  if (skill.kind === "plain") return skill.frontMatter.metadata?.version ?? null;
  const text = await readFile(join(skill.dir, "assets/runner.json"), "utf8");
  const declared = declaration.safeParse(JSON.parse(text.replace(/^\uFEFF/, "")));
  return declared.success ? declared.data.version : null;
}

function invalid(id: string, issues: readonly Issue[]): RunnerError {
  return new RunnerError("SKILL_INVALID", `The package of the skill "${id}" has mistakes.`, { issues });
}
