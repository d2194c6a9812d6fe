import { randomUUID } from "node:crypto";
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, sep } from "node:path";
import { pathOf } from "../credentials.ts";
import { codeOf } from "../manager/config-folders.ts";
import { homeOf, realPathOf } from "./hidden.ts";
import type { Environment, JailedAgent, JailedRun } from "./host.ts";
import { makeFolderWithin } from "./own-folders.ts";
import { ownPathOf } from "./places.ts";

/** Largest file that is copied, in bytes: a login or settings take some thousand. */
const maxBytes = 4 * 1024 * 1024;

/** The copies that a run has for a turn. */
export interface OwnCopies {
  /**
   * Takes renewed logins over into the files that all runs share, and drops the copies. To be called when no process of the
   * run is left. Never throws: what the agent made of its copies must not fail the run.
   */
  settle(): void;
}

/** Where such copies lie below a run's home: with these variables, and with none of them. */
export function ownCopyPaths(environment: Environment, agent: JailedAgent): string[] {
  const home = homeOf(environment);
  return Object.keys(agent.ownCopies ?? {}).flatMap((file) =>
    home === null ? [file] : [file, ownPathOf(agent, file, environment, home)],
  );
}

/**
 * Gives a run copies of its agent's files that it may write to, but not for others, anew for every turn
 * (`Agent.ownCopies`).
 */
export function lendCopies(environment: Environment, agent: JailedAgent, run: JailedRun): OwnCopies {
  const home = homeOf(environment) ?? realPathOf(run.home);
  const lent = Object.entries(agent.ownCopies ?? {}).map(([file, renewed]) => {
    const shared = realPathOf(pathOf(agent, file, environment));
    const path = ownPathOf(agent, file, environment, home);
    const copy = join(makeFolderWithin(run.home, dirname(path)), basename(path));
    // What a crash of the server left there may be the only one that counts: the provider has taken back the login that it renewed.
    takeOver(run.home, path, shared, null, renewed);
    rmSync(copy, { recursive: true, force: true });
    const text = readShared(shared);
    if (text !== null) writeFileSync(copy, text, { flag: "wx", mode: 0o600 });
    return { path, shared, copy, text, renewed };
  });
  return {
    settle() {
      for (const { path, shared, copy, text, renewed } of lent) {
        try {
          if (text !== null) takeOver(run.home, path, shared, text, renewed);
          if (isBelowFolders(run.home, path)) rmSync(copy, { recursive: true, force: true });
        } catch {
          // What cannot be removed is removed before the next turn, or with the run.
        }
      }
    },
  };
}

/**
 * Keeps what the agent renewed in its copy. What cannot be read or kept is lost: the CLI renews it again next time.
 * @param lent what it was given; null: not known any more
 */
function takeOver(
  home: string,
  path: string,
  shared: string,
  lent: string | null,
  renewed: (now: string, own: string) => string | null,
): void {
  try {
    const own = readOwn(home, path);
    const now = own === null || own === lent ? null : readShared(shared);
    const kept = own === null || now === null ? null : renewed(now, own);
    if (kept !== null && kept !== now) replaceShared(shared, kept);
  } catch {
    // Told above.
  }
}

function readShared(path: string): string | null {
  try {
    return statSync(path).size <= maxBytes ? readFileSync(path, "utf8") : null;
  } catch {
    return null;
  }
}

/** What the agent made of its copy; null when it is gone, or something else stands in its place or on the way to it. */
function readOwn(root: string, path: string): string | null {
  if (!isBelowFolders(root, path)) return null;
  let file: number;
  try {
    file = openSync(join(root, path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return null;
  }
  try {
    const info = fstatSync(file);
    return info.isFile() && info.size <= maxBytes ? readFileSync(file, "utf8") : null;
  } finally {
    closeSync(file);
  }
}

/** Whether all on the way to a file are folders: through a link, an agent would have another file read or removed. */
function isBelowFolders(root: string, path: string): boolean {
  let at = root;
  for (const part of dirname(path).split(sep)) {
    at = join(at, part);
    if (lstatSync(at, { throwIfNoEntry: false })?.isDirectory() !== true) return false;
  }
  return true;
}

/** How the system refuses to replace a file that is a mount, or to write beside it. */
const mountedAlone = new Set(["EBUSY", "EXDEV", "EACCES", "EPERM", "EROFS"]);

/** Replaces a file whole, with its owner and mode; one that is mounted by itself, as in a container, is written to. */
function replaceShared(path: string, text: string): void {
  const before = statSync(path);
  const temporary = `${path}.${randomUUID()}`;
  try {
    writeFileSync(temporary, text, { flag: "wx", mode: 0o600 });
    giveTo(temporary, before);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    // Not on a full disk: to write in place begins by losing what is there.
    if (!mountedAlone.has(codeOf(error) ?? "")) throw error;
    writeFileSync(path, text);
  }
}

function giveTo(path: string, { uid, gid, mode }: Stats): void {
  chmodSync(path, mode & 0o777);
  const mine = statSync(path);
  if (mine.uid !== uid || mine.gid !== gid) chownSync(path, uid, gid);
}
