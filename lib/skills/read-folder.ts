import { basename } from "node:path";
import { listPackage } from "./package-files.ts";
import { readSkill } from "./read-skill.ts";
import { createSchemaReader } from "./schemas.ts";
import type { Skill } from "./skill.ts";

/** Reads one package folder that is in no registry; its id is the folder's name. Errors are in `errors`. */
export async function readSkillFolder(
  dir: string,
  { engines }: { engines: readonly string[] },
): Promise<Skill> {
  return readSkill(basename(dir), dir, await listPackage(dir), { engines, schemas: createSchemaReader() });
}
