import { basename } from "node:path";
import { RunnerError } from "../errors.ts";
import { listPackage } from "./package-files.ts";
import { looksLikeSkill, readSkill } from "./read-skill.ts";
import { createSchemaReader } from "./schemas.ts";
import type { Skill } from "./skill.ts";
import { asStorageFailure } from "./storage-failure.ts";

/**
 * Reads one package folder that is in no registry. What is wrong with it is in the skill's `errors`, as in a listing.
 * @param dir absolute path; its last part is the skill's id
 * @param options.engines engines this server has
 * @throws RunnerError SKILL_INVALID when nothing in it makes a skill, STORAGE_FAILED when it cannot be listed
 */
export async function readSkillFolder(
  dir: string,
  { engines }: { engines: readonly string[] },
): Promise<Skill> {
  const id = basename(dir);
  const listing = await listPackage(dir).catch((error: unknown) => {
    throw asStorageFailure(error, `The skill "${id}" could not be read`);
  });
  if (looksLikeSkill(listing)) return readSkill(id, dir, listing, { engines, schemas: createSchemaReader() });
  const message = "is missing: a skill needs it";
  throw new RunnerError("SKILL_INVALID", `The folder "${id}" holds no SKILL.md and no assets/runner.json.`, {
    issues: [{ pointer: "SKILL.md", message }],
  });
}
