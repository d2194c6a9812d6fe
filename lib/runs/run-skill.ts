import { existsSync } from "node:fs";
import { readFile, rename, rm } from "node:fs/promises";
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

/** Whether its agent's session goes on, in the workspace of before. */
export function goesOn({ resume }: RunRecord): boolean {
  return resume !== null && resume.session_id !== null;
}

/** What a run is carried out with. */
export interface LaidOut {
  skill: Skill;
  /** The skill's own settings for the agent, as text. */
  config: string | null;
}

/**
 * The skill of a run as it is now, with a workspace laid out for it when it is not broken. No install replaces it in between.
 * @throws RunnerError SKILL_NOT_FOUND
 */
export function layOut(context: SkillParts, run: RunRecord, paths: RunPaths, agent: Agent): Promise<LaidOut> {
  return context.locked(skillLock(run.skill_id), async () => {
    const skill = await skillOfRun(context, run, paths);
    if (skill.errors.length > 0) return { skill, config: null };
    // What an agent's session goes on with lies there already.
    if (!goesOn(run))
      await prepareWorkspace(paths, { skill, agent, mode: run.runtime_options.execution_mode });
    return { skill, config: await skillConfig(skill, agent) };
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

/** The skill's own config file for this agent: the one `engine_configs` names, or the agent's usual name in assets/. */
async function skillConfig(skill: Skill, agent: Agent): Promise<string | null> {
  const path = skill.manifest.engine_configs?.[agent.id] ?? `assets/${agent.skillConfigFile}`;
  if (!skill.files.includes(path)) return null;
  return readFile(join(skill.dir, path), "utf8");
}
