import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { codeOf } from "./manager/config-folders.ts";

/** Folders for CLIs that are asked something are called so; the id of the process that asks comes behind it. */
const prefix = "skill-runner-probe-";

/** Makes an empty folder for as long as a CLI is asked something. The caller removes it. */
export function makeProbeFolder(within = tmpdir()): Promise<string> {
  return mkdtemp(join(within, `${prefix}${process.pid}-`));
}

/**
 * Removes the folders that a killed process left behind. To be called before this process asks: a process id may have been
 * used before. Never rejects.
 * @param dataDir the jail is tried there
 */
export async function dropProbeLeftovers(dataDir: string): Promise<void> {
  await Promise.all([tmpdir(), dataDir].map(dropIn));
}

async function dropIn(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  const left = names.filter((name) => {
    const pid = name.startsWith(prefix) ? Number.parseInt(name.slice(prefix.length), 10) : Number.NaN;
    return pid === process.pid || (Number.isInteger(pid) && !isAlive(pid));
  });
  await Promise.all(
    left.map((name) => rm(join(folder, name), { recursive: true, force: true }).catch(() => undefined)),
  );
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // EPERM: it is somebody else's.
    return codeOf(error) !== "ESRCH";
  }
}
