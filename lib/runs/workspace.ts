import { mkdir, rm, writeFile } from "node:fs/promises";
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
  await mkdir(paths.artifacts, { recursive: true });
  await Promise.all([
    mkdir(paths.temporary, { recursive: true }),
    mkdir(paths.logs, { recursive: true }),
    mkdir(join(paths.root, "result"), { recursive: true }),
    markAsProjectRoot(paths.workspace),
    snapshotSkill(options.skill, join(paths.workspace, options.agent.skillsFolder, options.skill.id), {
      mode: options.mode,
      artifactsDir: "artifacts",
    }),
  ]);
}

// CLIs walk up to the next `.git` and read what instructions they find on the way: an empty repository stops them here.
async function markAsProjectRoot(workspace: string): Promise<void> {
  const git = join(workspace, ".git");
  await mkdir(join(git, "refs"), { recursive: true });
  await mkdir(join(git, "objects"), { recursive: true });
  await writeFile(join(git, "HEAD"), "ref: refs/heads/main\n");
}

/** Removes everything of a run but its record. Safe to repeat. */
export async function removeRunFiles(paths: RunPaths): Promise<void> {
  await rm(paths.root, { recursive: true, force: true });
}
