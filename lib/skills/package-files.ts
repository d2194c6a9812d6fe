import { createHash } from "node:crypto";
import { lstat, open, readdir, realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import type { Issue } from "../errors.ts";

/** Caps that keep one folder from filling memory or the disk of a run. */
const maxPackageFiles = 2_000;
const maxPackageBytes = 200 * 1024 * 1024;

export interface PackageFile {
  /** Relative to the package, with `/`. */
  path: string;
  size: number;
  mtimeMs: number;
  ctimeMs: number;
  ino: number;
}

export interface PackageListing {
  /** Sorted by path. */
  files: PackageFile[];
  issues: Issue[];
  /** Within the caps, so that it may be read whole. */
  readable: boolean;
}

/** Lists a package without following links to folders; `.git` is left out at every depth. */
export async function listPackage(dir: string): Promise<PackageListing> {
  const files: PackageFile[] = [];
  const issues: Issue[] = [];
  const home = await realpath(dir);
  const pending = [""];
  for (let folder = pending.pop(); folder !== undefined; folder = pending.pop()) {
    for (const entry of await readdir(join(dir, folder), { withFileTypes: true })) {
      if (entry.name === ".git") continue;
      const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory()) pending.push(path);
      else if (entry.isFile()) files.push(await describe(path, join(dir, path)));
      else if (entry.isSymbolicLink()) {
        const problem = await linkProblem(home, join(dir, path));
        if (problem === null) files.push(await describe(path, join(dir, path)));
        else issues.push({ pointer: path, message: problem });
      } else issues.push({ pointer: path, message: "is neither a file nor a folder; remove it" });
      if (files.length > maxPackageFiles) {
        const message = `has more than ${maxPackageFiles} files; leave out what the agent does not need`;
        return { files: sorted(files), issues: [...issues, { pointer: "", message }], readable: false };
      }
    }
  }
  const readable = files.reduce((sum, file) => sum + file.size, 0) <= maxPackageBytes;
  if (!readable) {
    issues.push({ pointer: "", message: `is larger than ${maxPackageBytes / 1024 / 1024} MiB` });
  }
  return { files: sorted(files), issues, readable };
}

/** Changes whenever a file is added, removed, replaced or written; reads no content. */
export function fingerprint({ files, issues }: PackageListing): string {
  const hash = createHash("sha1");
  for (const file of files) {
    hash.update(`${file.path}\0${file.size}\0${file.mtimeMs}\0${file.ctimeMs}\0${file.ino}\n`);
  }
  for (const issue of issues) hash.update(`${issue.pointer}\0${issue.message}\n`);
  return hash.digest("hex");
}

/** The package hash: sha256 over the sorted lines `path:size:sha256` of all files. */
export async function hashPackage(dir: string, files: readonly PackageFile[]): Promise<string> {
  const buffer = Buffer.allocUnsafe(256 * 1024);
  const lines: string[] = [];
  for (const { path } of files) {
    const { size, sha256 } = await hashFile(join(dir, path), buffer);
    lines.push(`${path}:${size}:${sha256}`);
  }
  return createHash("sha256").update(lines.join("\n")).digest("hex");
}

async function hashFile(path: string, buffer: Buffer): Promise<{ size: number; sha256: string }> {
  const hash = createHash("sha256");
  const file = await open(path, "r");
  try {
    let size = 0;
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
      if (bytesRead === 0) return { size, sha256: hash.digest("hex") };
      hash.update(buffer.subarray(0, bytesRead));
      size += bytesRead;
    }
  } finally {
    await file.close();
  }
}

async function describe(path: string, absolute: string): Promise<PackageFile> {
  // The link itself is looked at, and its target's size: a link that is pointed elsewhere is a change too.
  const own = await lstat(absolute);
  const { mtimeMs, ctimeMs, ino } = own;
  const size = own.isSymbolicLink() ? (await stat(absolute)).size : own.size;
  return { path, size, mtimeMs, ctimeMs, ino };
}

async function linkProblem(home: string, link: string): Promise<string | null> {
  const target = await realpath(link).catch(() => null);
  if (target === null) return "is a link to nothing";
  if (!target.startsWith(home + sep)) return "is a link that leads out of the package; copy the file instead";
  return (await stat(target)).isFile() ? null : "is a link to a folder; copy the folder instead";
}

function sorted(files: PackageFile[]): PackageFile[] {
  return files.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}
