import { randomUUID } from "node:crypto";
import type { Stats } from "node:fs";
import { cp, lstat, readdir, readlink, rename, rm, rmdir, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { Agent } from "../agent.ts";
import { codeOf, whyNotWritable } from "./config-folders.ts";
import { makeFolder } from "./make-folder.ts";

/** What was done about one folder or file of an agent. */
export interface BootstrapStep {
  engine: string;
  /** Below HOME for a link, below the config root for a file. */
  item: string;
  state: "linked" | "unchanged" | "moved_in" | "written" | "kept" | "failed";
  /** What else there is to know: where old files are, or why it failed. */
  note: string | null;
}

export interface BootstrapOptions {
  agents: readonly Agent[];
  /** The mounted folder with one folder per agent: /opt/config in the container. */
  configRoot: string;
  /** HOME of the user the agents run as. */
  home: string;
}

/**
 * Makes every agent keep its settings and logins below the config root: `HOME/.codex` becomes a link to
 * `<config root>/codex`, and files an agent needs are written where there are none. A folder that was in HOME is not
 * lost: what the config root lacks is copied there, and the folder is renamed. Never rejects: what cannot be done is a
 * step that failed, and the others go on.
 */
export async function bootstrapConfig({
  agents,
  configRoot,
  home,
}: BootstrapOptions): Promise<BootstrapStep[]> {
  const steps: BootstrapStep[] = [];
  for (const agent of agents) {
    const attempt = async (item: string, act: () => Promise<Omit<BootstrapStep, "engine" | "item">>) => {
      const outcome = await act().catch((error: unknown) => ({
        state: "failed" as const,
        note: reason(error),
      }));
      steps.push({ engine: agent.id, item, ...outcome });
    };
    for (const { config, home: below } of agent.homes) {
      await attempt(below, () => linkFolder(join(home, below), join(configRoot, config)));
    }
    for (const [path, content] of Object.entries(agent.bootstrapFiles)) {
      await attempt(path, () => writeIfMissing(join(configRoot, path), content));
    }
  }
  return steps;
}

async function linkFolder(path: string, target: string): Promise<Omit<BootstrapStep, "engine" | "item">> {
  await makeFolder(target);
  const blocked = await whyNotWritable(target);
  const note = blocked === null ? null : `its settings and logins cannot be written (${blocked})`;
  const state = blocked === null ? ("linked" as const) : ("failed" as const);
  const info = await lstat(path).catch(() => null);
  if (info === null) {
    await makeFolder(dirname(path));
    await symlink(target, path);
    return { state, note };
  }
  if (info.isSymbolicLink()) {
    if (resolve(dirname(path), await readlink(path)) === resolve(target))
      return { state: blocked === null ? "unchanged" : state, note };
    const temporary = join(dirname(path), `.${basename(path)}-${randomUUID().slice(0, 8)}`);
    await symlink(target, temporary);
    await rename(temporary, path);
    return { state, note };
  }
  if (!info.isDirectory()) throw new Error("a file stands where the folder should be; move it away");
  if (resolve(path) === resolve(target)) return { state: "unchanged", note };
  if (blocked !== null) return { state, note };
  return moveIn(path, target);
}

/** A real folder in HOME: its files go where the config root has none, and the folder stays under another name. */
async function moveIn(path: string, target: string): Promise<Omit<BootstrapStep, "engine" | "item">> {
  if ((await readdir(path)).length === 0) {
    await rmdir(path);
    await symlink(target, path);
    return { state: "linked", note: null };
  }
  await cp(path, target, {
    recursive: true,
    force: false,
    verbatimSymlinks: true,
    preserveTimestamps: true,
    // Sockets and pipes belong to processes, not to a folder.
    filter: async (source) => isKeepable(await lstat(source)),
  });
  const aside = `${path}.before-${new Date().toISOString().replaceAll(/[:.]/g, "-")}`;
  await rename(path, aside);
  try {
    await symlink(target, path);
  } catch (error) {
    await rename(aside, path);
    throw error;
  }
  return { state: "moved_in", note: `what was there is copied in, and kept as ${basename(aside)}` };
}

function isKeepable(info: Stats): boolean {
  return info.isFile() || info.isDirectory() || info.isSymbolicLink();
}

async function writeIfMissing(
  path: string,
  content: string,
): Promise<Omit<BootstrapStep, "engine" | "item">> {
  await makeFolder(dirname(path));
  const temporary = join(dirname(path), `.${basename(path)}-${randomUUID().slice(0, 8)}`);
  if ((await lstat(path).catch(() => null)) !== null) return { state: "kept", note: null };
  try {
    await writeFile(temporary, content, { flag: "wx", mode: 0o600 });
    await rename(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
  return { state: "written", note: null };
}

function reason(error: unknown): string {
  const code = codeOf(error);
  const words: Record<string, string> = {
    EACCES: "no permission to write there",
    EPERM: "not permitted",
    EROFS: "the file system is read-only",
    ENOSPC: "the disk is full",
    ENOTDIR: "a file stands where a folder should be",
    EEXIST: "a file stands where a folder should be",
  };
  const known = words[code];
  if (known !== undefined) return `${known} (${code})`;
  return error instanceof Error ? error.message : code;
}
