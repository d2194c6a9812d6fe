import { mkdirSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Agent } from "../agents/index.ts";
import { type Skill, snapshotSkill } from "../skills/index.ts";
import type { RunPaths } from "./paths.ts";

/**
 * Lays out a fresh workspace: the skill's snapshot where the agent looks for skills, a folder for artifacts, and a
 * repository marker. Uploads that are there already stay.
 */
export async function prepareWorkspace(
  paths: RunPaths,
  options: { skill: Skill; agent: Agent; mode: "auto" | "interactive" },
): Promise<void> {
  // Synchronous: an empty folder takes some 20 us to make, a trip through the thread pool ten times that.
  for (const folder of [paths.artifacts, paths.temporary, paths.logs]) mkdirSync(folder, { recursive: true });
  markAsProjectRoot(paths.workspace);
  await snapshotSkill(options.skill, join(paths.workspace, options.agent.skillsFolder, options.skill.id), {
    mode: options.mode,
    artifactsDir: "artifacts",
  });
}

// CLIs walk up to the next `.git` and read what instructions they find on the way: an empty repository stops them here.
function markAsProjectRoot(workspace: string): void {
  const git = join(workspace, ".git");
  for (const folder of ["refs", "objects"]) mkdirSync(join(git, folder), { recursive: true });
  writeFileSync(join(git, "HEAD"), "ref: refs/heads/main\n");
}

/** Removes everything of a run but its record. Safe to repeat. */
export async function removeRunFiles(paths: RunPaths): Promise<void> {
  await rm(paths.root, { recursive: true, force: true });
}
