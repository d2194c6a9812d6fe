import { constants, existsSync, mkdirSync } from "node:fs";
import { chmod, copyFile, readFile, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { RunnerError } from "../errors.ts";
import { runtimeSections, type SnapshotOptions } from "./runtime-sections.ts";
import type { Skill } from "./skill.ts";

/**
 * Puts a skill's files where an agent will find them, with the rules of this server added to its SKILL.md. The copy is
 * the run's own: a package that changes later does not change the run. Replaces `targetDir`.
 * @throws RunnerError SKILL_INVALID when a file is gone or cannot be read.
 */
export async function snapshotSkill(
  skill: Skill,
  targetDir: string,
  options: SnapshotOptions,
): Promise<void> {
  if (existsSync(targetDir)) await rm(targetDir, { recursive: true, force: true });
  const folders = new Set(skill.files.map((path) => dirname(join(targetDir, path))));
  for (const folder of folders) mkdirSync(folder, { recursive: true });
  try {
    await Promise.all(
      skill.files.map((path) =>
        path === "SKILL.md"
          ? patchText(skill, join(targetDir, path), options)
          : copyWritable(join(skill.dir, path), join(targetDir, path)),
      ),
    );
  } catch (error) {
    throw new RunnerError(
      "SKILL_INVALID",
      `A file of skill "${skill.id}" is gone or cannot be read. Try again.`,
      {
        cause: error,
      },
    );
  }
}

async function patchText(skill: Skill, target: string, options: SnapshotOptions): Promise<void> {
  const original = await readFile(join(skill.dir, "SKILL.md"), "utf8");
  await writeFile(target, `${original.trimEnd()}\n\n${runtimeSections(skill, options)}`);
}

async function copyWritable(source: string, target: string): Promise<void> {
  await copyFile(source, target, constants.COPYFILE_FICLONE);
  const { mode } = await stat(target);
  // A package on a read-only mount has read-only files; the run's copy must be removable and editable.
  if ((mode & 0o600) !== 0o600) await chmod(target, (mode & 0o777) | 0o600);
}
