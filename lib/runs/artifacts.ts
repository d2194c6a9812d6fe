import { constants } from "node:fs";
import { copyFile, mkdir, readdir, realpath, rm, stat } from "node:fs/promises";
import { basename, join, relative, resolve, sep } from "node:path";
import type { Issue } from "../errors.ts";
import { isJsonObject, jsonPointer } from "../json.ts";
import type { ArtifactField } from "../skills/index.ts";
import { maxAnswerFileBytes, readAnswerFile } from "./answer-file.ts";
import { dropLinks } from "./drop-links.ts";
import type { RunPaths } from "./paths.ts";

export interface Artifact {
  /** Path below the workspace, with "/". */
  path: string;
  role: string | null;
  bytes: number;
}

export interface CollectedArtifacts {
  artifacts: Artifact[];
  /** The answer with each artifact field rewritten to its path below the workspace. */
  data: Record<string, unknown>;
  /** What is missing or lies where it may not: reasons for a repair turn. */
  issues: Issue[];
}

const maxFiles = 10_000;
/** Enough to mend an answer by, and no more than fits a prompt. */
const maxIssues = 50;

/**
 * Finds the file behind every artifact field, and everything else the agent left in `artifacts/`. To be called when no
 * process of the run is left: what is looked at here must not become a link before it is used.
 */
export async function collectArtifacts(
  paths: RunPaths,
  fields: ArtifactField[],
  answer: Record<string, unknown>,
): Promise<CollectedArtifacts> {
  const found = new Map<string, Artifact>();
  const data = { ...answer };
  const issues: Issue[] = [];
  // A link in its place would have files written, and the names of others told, wherever it leads.
  dropLinks(paths.workspace, "artifacts");
  const take = async (named: string, role: string | null, pointer: string): Promise<string | null> => {
    const place = await locate(paths, named);
    if ("problem" in place) {
      issues.push({ pointer, message: place.problem });
      return null;
    }
    found.set(place.path, { path: place.path, role, bytes: place.bytes });
    return place.path;
  };
  for (const field of fields) {
    const value = data[field.name];
    // The schema has its say on a value of another type; here only paths matter.
    if (typeof value !== "string") continue;
    const path = await take(value, field.role, jsonPointer([field.name]));
    if (path === null) continue;
    data[field.name] = path;
    if (field.kind === "artifact-manifest") await takeManifest(paths, path, field, take, issues);
  }
  for (const path of await filesBelow(paths.artifacts, "artifacts")) {
    if (!found.has(path)) await take(path, null, "");
  }
  const artifacts = [...found.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  return { artifacts, data, issues: issues.slice(0, maxIssues) };
}

async function takeManifest(
  paths: RunPaths,
  manifest: string,
  field: ArtifactField,
  take: (named: string, role: string | null, pointer: string) => Promise<string | null>,
  issues: Issue[],
): Promise<void> {
  const pointer = jsonPointer([field.name]);
  const text = await readAnswerFile(join(paths.workspace, manifest));
  if (text === null) {
    issues.push({
      pointer,
      message: `${manifest} cannot be read, or is larger than ${maxAnswerFileBytes} bytes`,
    });
    return;
  }
  const entries = parseManifest(text);
  if (entries === null) {
    issues.push({ pointer, message: `${manifest} must be a flat JSON object of label: path` });
    return;
  }
  if (entries.length > maxFiles) {
    issues.push({ pointer, message: `${manifest} must not name more than ${maxFiles} files` });
    return;
  }
  for (const [label, path] of entries) await take(path, field.role, jsonPointer([field.name, label]));
}

function parseManifest(text: string): [string, string][] | null {
  try {
    const value: unknown = JSON.parse(text);
    if (!isJsonObject(value)) return null;
    const entries = Object.entries(value).filter(
      (entry): entry is [string, string] => typeof entry[1] === "string",
    );
    return entries.length === Object.keys(value).length ? entries : null;
  } catch {
    return null;
  }
}

type Place = { path: string; bytes: number } | { problem: string };

/**
 * Where a path named by the agent really lies, links followed. Only the workspace counts, and the run's own temporary
 * folder, from which a file is copied in: anything else (a credential file, another run) is never served, and whether it
 * is there is not told.
 */
async function locate(paths: RunPaths, named: string): Promise<Place> {
  if (named === "" || named.includes("\0")) return { problem: "must name a file" };
  const missing = {
    problem: `${named} is not there, or outside the working folder; write the file below artifacts/ and name that path`,
  };
  const [real, workspace, temporary] = await Promise.all(
    [resolve(paths.workspace, named), paths.workspace, paths.temporary].map((path) =>
      realpath(path).catch(() => null),
    ),
  );
  if (!real || !workspace) return missing;
  const isOutside = !isInside(workspace, real);
  if (isOutside && !(temporary && isInside(temporary, real))) return missing;
  const info = await stat(real);
  if (!info.isFile()) return { problem: `${named} is not a file` };
  if (isOutside) return copyIn(paths, real);
  return { path: relative(workspace, real).split(sep).join("/"), bytes: info.size };
}

/** Copies a file into the artifacts, in place of what has its name there: written to, a link would lead elsewhere. */
async function copyIn(paths: RunPaths, file: string): Promise<Place> {
  const name = basename(file);
  const target = join(paths.artifacts, name);
  try {
    await mkdir(paths.artifacts, { recursive: true });
    await rm(target, { force: true });
    await copyFile(file, target, constants.COPYFILE_EXCL);
    return { path: `artifacts/${name}`, bytes: (await stat(target)).size };
  } catch {
    return { problem: `${name} cannot be copied to artifacts/${name}; write it there and name that path` };
  }
}

/** Every regular file below a folder, as paths with the given prefix, sorted; links are not followed. */
export async function filesBelow(folder: string, prefix: string): Promise<string[]> {
  const files: string[] = [];
  const walk = async (path: string, shown: string): Promise<void> => {
    const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      if (files.length >= maxFiles) return;
      if (entry.isDirectory()) await walk(join(path, entry.name), `${shown}/${entry.name}`);
      else if (entry.isFile()) files.push(`${shown}/${entry.name}`);
    }
  };
  await walk(folder, prefix);
  return files.sort();
}

function isInside(folder: string, path: string): boolean {
  return path.startsWith(folder + sep);
}
