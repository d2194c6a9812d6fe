import { randomUUID } from "node:crypto";
import {
  lstat,
  mkdir,
  readdir,
  readlink,
  realpath,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { basename, dirname, join, relative, resolve, sep } from "node:path";

/**
 * How versions lie in the npm prefix. Each is a prefix of its own, made by npm, in
 * `lib/skill-runner/<engine>/<version>-<random>/`; `lib/node_modules/<package>` and `bin/<command>` are links to the one
 * in use. npm alone would not do: it moves the old package away before it has loaded the new one, so that for the whole
 * download, and after a kill, there is none. A link is swapped in one step; a run that has begun keeps its version. To
 * `npm ls -g`, `npm install -g` and `npm uninstall -g` the link looks like a linked package, and they may replace it.
 */
const storeFolder = join("lib", "skill-runner");
/** Stands in the folder of a version that was installed to its end. */
const marker = ".complete";

/**
 * Makes an empty folder for a version that is about to be installed. What killed installs left is removed first.
 * @param spareMs folders that changed this lately may be another process's, which is at work: they stay
 */
export async function newVersionFolder(
  npmPrefix: string,
  engine: string,
  version: string,
  spareMs = 0,
): Promise<string> {
  const folder = join(npmPrefix, storeFolder, engine);
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(folder)) {
    if (!(await exists(join(folder, name, marker)))) await removeOlder(join(folder, name), spareMs);
  }
  const made = join(folder, `${version}-${randomUUID().slice(0, 8)}`);
  await mkdir(made);
  return made;
}

/**
 * Throws when a command of that name stands in the prefix's `bin` that did not come from npm: an operator put it there.
 * @throws Error
 */
export async function assertReplaceable(npmPrefix: string, binary: string): Promise<void> {
  const path = join(npmPrefix, "bin", binary);
  const info = await lstat(path).catch(() => null);
  if (info === null) return;
  const target = info.isSymbolicLink() ? resolve(dirname(path), await readlink(path)) : null;
  if (target?.startsWith(join(npmPrefix, "lib") + sep)) return;
  throw new Error(`bin/${binary} in the npm prefix did not come from npm: move it away first`);
}

/**
 * Puts the version in `folder` into use. Every step is one rename, and after each of them the command runs: first the
 * command leads straight to the new folder, then the package link does, then the command goes through the package link,
 * as npm would have it. Then older versions are removed.
 * @param spareMs as in `newVersionFolder`
 */
export async function useVersion(
  npmPrefix: string,
  packageName: string,
  folder: string,
  spareMs = 0,
): Promise<void> {
  const bin = join(npmPrefix, "bin");
  const commands = await readdir(join(folder, "bin"));
  const before = await versionInUse(npmPrefix, packageName);
  await writeFile(join(folder, marker), "");
  await mkdir(bin, { recursive: true });
  for (const name of commands) await replaceLink(join(bin, name), join(folder, "bin", name));
  const link = join(npmPrefix, "lib", "node_modules", packageName);
  await mkdir(dirname(link), { recursive: true });
  // Installed by npm itself: a real folder, which no link can replace. It stays on disk for runs that use it.
  const moved = (await isFolder(link)) ? await moveAside(link, dirname(folder)) : null;
  await replaceLink(link, join(folder, "lib", "node_modules", packageName));
  for (const name of commands) {
    await replaceLink(join(bin, name), resolve(bin, await readlink(join(folder, "bin", name))));
  }
  await dropOthers(dirname(folder), [folder, before, moved], spareMs);
}

/** The folder of the version that the package link leads to, or null when it is none of ours. */
async function versionInUse(npmPrefix: string, packageName: string): Promise<string | null> {
  return versionFolderOf(npmPrefix, join(npmPrefix, "lib", "node_modules", packageName));
}

/** The version folder a path leads into, or null. */
async function versionFolderOf(npmPrefix: string, path: string): Promise<string | null> {
  const [store, real] = await Promise.all([
    realpath(join(npmPrefix, storeFolder)).catch(() => null),
    realpath(path).catch(() => null),
  ]);
  if (store === null || real === null || !real.startsWith(store + sep)) return null;
  const [engine, version] = relative(store, real).split(sep);
  return engine === undefined || version === undefined ? null : join(store, engine, version);
}

/**
 * The same command, past the links: it goes on to be this version when another one is put into use.
 * @param path a command in the prefix's `bin`
 */
export async function pinned(npmPrefix: string, path: string): Promise<string> {
  const folder = await versionFolderOf(npmPrefix, path);
  return folder === null ? path : join(folder, "bin", basename(path));
}

// The version before stays: runs, of other containers too, may still be at work with it.
async function dropOthers(engineFolder: string, kept: (string | null)[], spareMs: number): Promise<void> {
  const real = await realpath(engineFolder);
  const names = kept.filter((folder) => folder !== null).map((folder) => basename(folder));
  for (const name of await readdir(real))
    if (!names.includes(name)) await removeOlder(join(real, name), spareMs);
}

async function moveAside(packageFolder: string, engineFolder: string): Promise<string> {
  const aside = join(engineFolder, `npm-${randomUUID().slice(0, 8)}`);
  await mkdir(aside);
  await writeFile(join(aside, marker), "");
  await rename(packageFolder, join(aside, "package"));
  return aside;
}

/** Makes or replaces a link in one step (symlink(2) cannot replace, rename(2) can). The target is written relative. */
async function replaceLink(path: string, target: string): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}-${randomUUID().slice(0, 8)}`);
  await symlink(relative(dirname(path), target), temporary);
  try {
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

export function remove(folder: string): Promise<void> {
  return rm(folder, { recursive: true, force: true });
}

async function removeOlder(folder: string, spareMs: number): Promise<void> {
  if (spareMs > 0) {
    const info = await stat(folder).catch(() => null);
    // npm changes what is in the folder, not the folder itself: its time is that of the first step, or of the last.
    if (info === null || Date.now() - info.mtimeMs < spareMs) return;
  }
  await remove(folder);
}

async function isFolder(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => null))?.isDirectory() ?? false;
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null;
}
