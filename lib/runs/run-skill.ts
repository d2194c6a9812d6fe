import { existsSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Agent } from "../agents/index.ts";
import { copyPackage, readSkillFolder, type Skill, skillLock } from "../skills/index.ts";
import type { RunContext } from "./context.ts";
import type { RunPaths } from "./paths.ts";
import type { RunRecord } from "./record.ts";
import { prepareWorkspace } from "./workspace.ts";

type SkillParts = Pick<RunContext, "skills" | "locked"> & { engines: { ids: readonly string[] } };

/** A job that starts at once was checked a moment ago: what was seen then holds for it. */
export const fresh = { maxAgeMs: 500 };

/** Where a run keeps a skill package of its own, by the skill's id. */
export function packageOfRun(paths: RunPaths, skillId: string): string {
  return join(paths.root, "skill", skillId);
}

/**
 * The skill of a run as it is now, with a workspace laid out for it when it is not broken. No install replaces it in between.
 * @throws RunnerError SKILL_NOT_FOUND
 */
export function layOut(context: SkillParts, run: RunRecord, paths: RunPaths, agent: Agent): Promise<Skill> {
  return context.locked(skillLock(run.skill_id), async () => {
    const skill = await skillOfRun(context, run, paths);
    // What an agent's session goes on with lies there already.
    const goesOn = run.resume !== null && run.resume.session_id !== null;
    if (skill.errors.length === 0 && !goesOn)
      await prepareWorkspace(paths, { skill, agent, mode: run.runtime_options.execution_mode });
    return skill;
  });
}

/**
 * The skill of a run: its own package when it brought one or keeps one, else the installed one. A run that may ask keeps
 * a copy, so that what it is answered days later is judged by the schema that it began with.
 * @throws RunnerError SKILL_NOT_FOUND
 */
async function skillOfRun(context: SkillParts, run: RunRecord, paths: RunPaths): Promise<Skill> {
  const own = packageOfRun(paths, run.skill_id);
  const mayAsk = run.runtime_options.execution_mode === "interactive";
  const options = { engines: context.engines.ids };
  if (run.skill_source === "temp_upload" || (mayAsk && existsSync(own))) return readSkillFolder(own, options);
  const skill = await context.skills.get(run.skill_id, fresh);
  if (!mayAsk || skill.errors.length > 0) return skill;
  const copying = join(paths.root, "skill.tmp");
  await rm(copying, { recursive: true, force: true });
  await copyPackage(skill, join(copying, skill.id));
  await rename(copying, join(paths.root, "skill"));
  return readSkillFolder(own, options);
}
