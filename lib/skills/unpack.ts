import { randomUUID } from "node:crypto";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { RunnerError } from "../errors.ts";
import { isSafeSkillId } from "./read-skill.ts";
import { asStorageFailure } from "./storage-failure.ts";

/**
 * Unpacks the zip at `zip` to the folder `targetDir`, which is not there yet: whole or not at all, refusing hostile
 * archives. A parameter, because this room does not know the one that reads zips.
 */
export type ExtractZip = (zip: string, targetDir: string) => Promise<unknown>;

/**
 * Unpacks the zip of a skill package to `<targetParent>/<skill id>`; the id is the name of the one folder that the zip
 * holds. Whatever is called `.git` is left out. What is in the package is not looked at: that is `readSkillFolder`'s.
 * @param zip absolute path of the received archive
 * @param targetParent made when missing; must not hold a folder of that name
 * @returns the id, and the absolute path of the folder
 * @throws RunnerError ARCHIVE_INVALID and what `extract` throws; STORAGE_FAILED. Then nothing is left behind.
 */
export async function unpackSkillPackage(
  zip: string,
  targetParent: string,
  extract: ExtractZip,
): Promise<{ id: string; dir: string }> {
  const unpacked = join(targetParent, `.unpack-${randomUUID()}`);
  try {
    await mkdir(targetParent, { recursive: true });
    await extract(zip, unpacked);
    const id = await onlyFolder(unpacked);
    await removeGit(join(unpacked, id));
    const dir = join(targetParent, id);
    await rename(join(unpacked, id), dir);
    return { id, dir };
  } catch (error) {
    throw asStorageFailure(error, "The package could not be unpacked");
  } finally {
    // The first failure is the one to report.
    await rm(unpacked, { recursive: true, force: true }).catch(() => {});
  }
}

async function onlyFolder(unpacked: string): Promise<string> {
  const entries = await readdir(unpacked, { withFileTypes: true });
  const [entry] = entries;
  if (entry === undefined || entries.length > 1 || !entry.isDirectory()) {
    const found = entries.map((each) => (each.isDirectory() ? `${each.name}/` : each.name)).sort();
    throw new RunnerError(
      "ARCHIVE_INVALID",
      `A skill package is a zip with exactly one folder at its top, which is named like the skill. This one has ${
        found.length === 0 ? "nothing" : `${found.slice(0, 5).join(", ")}${found.length > 5 ? ", ..." : ""}`
      } there.`,
    );
  }
  if (!isSafeSkillId(entry.name)) {
    throw new RunnerError(
      "ARCHIVE_INVALID",
      `The folder "${entry.name}" cannot be a skill's id: letters, digits, "-", "_" and "." only, at most 128.`,
    );
  }
  return entry.name;
}

/** A package that was zipped from a clone brings its history along; no agent needs it, and hooks in it are code. */
async function removeGit(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.name === ".git") await rm(path, { recursive: true, force: true });
    else if (entry.isDirectory()) await removeGit(path);
  }
}
