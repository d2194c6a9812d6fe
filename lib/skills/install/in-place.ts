import { lstat } from "node:fs/promises";
import { join } from "node:path";
import { RunnerError } from "../../errors.ts";
import { readSkillFolder } from "../read-folder.ts";
import type { Skill } from "../skill.ts";
import { compareVersions, isDottedNumber } from "./version.ts";

/** What an install does about the folder that has the skill's name already. */
export interface Plan {
  action: "install" | "update";
  /** Where that folder goes, relative to the skills folder; null when there is none. */
  setAside: string | null;
}

/** A package that is unpacked and checked. */
export interface Candidate {
  id: string;
  version: string;
}

/**
 * Looks at what is in place: a working skill goes to `.archive/<id>/<its version>` if the new one is greater; a folder
 * that is no working skill goes to `.invalid/<id>-<time>[-n]`.
 * @param root absolute path of the skills folder
 * @throws RunnerError SKILL_VERSION_NOT_GREATER, SKILL_INSTALL_CONFLICT, STORAGE_FAILED
 */
export async function planFor(
  root: string,
  { id, version }: Candidate,
  engines: readonly string[],
): Promise<Plan> {
  const dir = join(root, id);
  const info = await lstatIfThere(dir);
  if (info === null) return { action: "install", setAside: null };
  if (!info.isDirectory()) {
    throw conflict(
      `What is called "${id}" in the skills folder is a link or a file, not a folder. Remove it first.`,
    );
  }
  const old = await workingSkill(dir, engines);
  if (old === null) return { action: "install", setAside: await freeName(root, `.invalid/${id}-${stamp()}`) };
  const installed = old.manifest.version;
  // A version that cannot be compared counts as the lowest: the skill could never be updated otherwise.
  if (isDottedNumber(installed) && compareVersions(version, installed) <= 0) {
    throw new RunnerError(
      "SKILL_VERSION_NOT_GREATER",
      `Version ${installed} of "${id}" is installed; ${version} is not greater. Raise the package's version.`,
    );
  }
  const setAside = `.archive/${id}/${folderName(installed)}`;
  if ((await lstatIfThere(join(root, setAside))) !== null) {
    throw conflict(
      `Version ${installed} of "${id}" is in the archive already (${setAside}). Move it away first.`,
    );
  }
  return { action: "update", setAside };
}

/** Whether anything, even a broken link, has this path. */
export async function isThere(path: string): Promise<boolean> {
  return (await lstatIfThere(path)) !== null;
}

/** The version of the working skill that is in place; null when there is none. */
export async function versionInPlace(
  root: string,
  id: string,
  engines: readonly string[],
): Promise<string | null> {
  if (!(await isThere(join(root, id)))) return null;
  return (await workingSkill(join(root, id), engines))?.manifest.version ?? null;
}

async function workingSkill(dir: string, engines: readonly string[]): Promise<Skill | null> {
  const skill = await readSkillFolder(dir, { engines }).catch((error: unknown) => {
    if (error instanceof RunnerError && error.code === "SKILL_INVALID") return null;
    throw error;
  });
  return skill === null || skill.errors.length > 0 ? null : skill;
}

async function freeName(root: string, wanted: string): Promise<string> {
  let name = wanted;
  for (let n = 1; await isThere(join(root, name)); n++) name = `${wanted}-${n}`;
  return name;
}

/** Like 20261124T172004Z (ISO 8601, basic format). */
function stamp(): string {
  return new Date().toISOString().replaceAll(/[-:]|\.\d+/g, "");
}

/** A version is free text in a manifest; as the name of a folder it must not lead anywhere. */
function folderName(version: string): string {
  return version
    .replaceAll(/[^A-Za-z0-9._+-]/g, "_")
    .replace(/^\./, "_")
    .slice(0, 128);
}

async function lstatIfThere(path: string) {
  return lstat(path).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  });
}

function conflict(message: string): RunnerError {
  return new RunnerError("SKILL_INSTALL_CONFLICT", message);
}
