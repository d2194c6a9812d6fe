import { mkdirSync } from "node:fs";
import { lstat, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Agent } from "../agents/index.ts";
import { type Skill, snapshotSkill } from "../skills/index.ts";
import { dropLinks } from "./drop-links.ts";
import { cacheFolders, type RunPaths } from "./paths.ts";

/**
 * Lays out a workspace for work that begins: the skill's snapshot where the agent looks for skills, and a folder for
 * artifacts. Uploads that are there already stay, and so does what an agent of an earlier attempt left there, but for
 * links on the way: through them, what lies elsewhere would be removed and written to. No folder is made that is not needed: on ext4 one costs 0.3 ms.
 */
export async function prepareWorkspace(
  paths: RunPaths,
  options: { skill: Skill; agent: Agent; mode: "auto" | "interactive" },
): Promise<void> {
  const snapshot = join(options.agent.skillsFolder, options.skill.id);
  for (const path of ["artifacts", snapshot]) dropLinks(paths.workspace, path);
  for (const folder of [paths.artifacts, paths.temporary]) mkdirSync(folder, { recursive: true });
  await snapshotSkill(options.skill, join(paths.workspace, snapshot), {
    mode: options.mode,
    artifactsDir: "artifacts",
  });
}

/** Removes what programs of an ended run have fetched, and can fetch again. Safe to repeat. */
export async function dropCaches(paths: RunPaths): Promise<void> {
  for (const folder of cacheFolders) {
    const path = join(paths.root, folder);
    // A link on the way, which an agent may have put there, leads to what is not the run's.
    const isWithin = (await lstat(dirname(path)).catch(() => null))?.isDirectory() ?? false;
    if (isWithin) await rm(path, { recursive: true, force: true });
  }
}

/** Removes everything of a run but its record. Safe to repeat. */
export async function removeRunFiles(paths: RunPaths): Promise<void> {
  await rm(paths.root, { recursive: true, force: true });
}
