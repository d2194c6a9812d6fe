import { chmodSync, constants, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { chmod, copyFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { RunnerError } from "../errors.ts";
import { runtimeSections, type SnapshotOptions } from "./runtime-sections.ts";
import type { Skill } from "./skill.ts";

/**
 * Up to this many bytes a file is read and written at once: that takes a third of copyFile(3) on ext4, and less than
 * handing it to the thread pool.
 */
const smallFile = 64 * 1024;

const unreadable = ["ENOENT", "EACCES", "EPERM", "ENOTDIR", "EISDIR", "ELOOP"];

/**
 * Puts a skill's files where an agent will find them, with the rules of this server added to its SKILL.md. The copy is
 * the run's own: a package that changes later does not change the run. Replaces `targetDir`.
 * @throws RunnerError SKILL_INVALID when a file is gone or cannot be read.
 */
export function snapshotSkill(skill: Skill, targetDir: string, options: SnapshotOptions): Promise<void> {
  return copyFiles(skill, targetDir, options);
}

/** Copies a skill's files as they are. Replaces `targetDir`. @throws RunnerError SKILL_INVALID as `snapshotSkill` does */
export function copyPackage(skill: Skill, targetDir: string): Promise<void> {
  return copyFiles(skill, targetDir, null);
}

async function copyFiles(skill: Skill, targetDir: string, added: SnapshotOptions | null): Promise<void> {
  if (existsSync(targetDir)) await rm(targetDir, { recursive: true, force: true });
  const folders = new Set(skill.files.map((path) => dirname(join(targetDir, path))));
  for (const folder of folders) mkdirSync(folder, { recursive: true });
  try {
    for (const path of skill.files) {
      const target = join(targetDir, path);
      if (path === "SKILL.md" && added !== null) patchText(skill, target, added);
      else await copyWritable(join(skill.dir, path), target);
    }
  } catch (error) {
    // A full disk, or the like, is no fault of the skill's.
    if (!(error instanceof Error && "code" in error && unreadable.includes(String(error.code)))) throw error;
    throw new RunnerError(
      "SKILL_INVALID",
      `A file of skill "${skill.id}" is gone or cannot be read. Try again.`,
      {
        cause: error,
      },
    );
  }
}

function patchText(skill: Skill, target: string, options: SnapshotOptions): void {
  const original = readFileSync(join(skill.dir, "SKILL.md"), "utf8");
  writeFileSync(target, `${original.trimEnd()}\n\n${runtimeSections(skill, options)}`);
}

async function copyWritable(source: string, target: string): Promise<void> {
  const { mode, size } = statSync(source);
  // A package on a read-only mount has read-only files; the run's copy must be removable and editable.
  const readOnly = (mode & 0o600) !== 0o600;
  const writable = (mode & 0o777) | 0o600;
  if (size <= smallFile) {
    writeFileSync(target, readFileSync(source), { mode: writable });
    // A umask may have taken bits away that the package has.
    if ((mode & 0o111) !== 0 || readOnly) chmodSync(target, writable);
  } else {
    await copyFile(source, target, constants.COPYFILE_FICLONE);
    if (readOnly) await chmod(target, writable);
  }
}
