import { copyFile, mkdir, readdir, readFile, realpath, stat } from "node:fs/promises";
import { basename, isAbsolute, join, relative, resolve, sep } from "node:path";
import type { Issue } from "../errors.ts";
import { isJsonObject, jsonPointer } from "../json.ts";
import type { ArtifactField } from "../skills/index.ts";
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

/** Finds the file behind every artifact field, and everything else the agent left in `artifacts/`. */
export async function collectArtifacts(
  paths: RunPaths,
  fields: ArtifactField[],
  answer: Record<string, unknown>,
): Promise<CollectedArtifacts> {
  const found = new Map<string, Artifact>();
  const data = { ...answer };
  const issues: Issue[] = [];
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
  return { artifacts: [...found.values()].sort((a, b) => (a.path < b.path ? -1 : 1)), data, issues };
}

async function takeManifest(
  paths: RunPaths,
  manifest: string,
  field: ArtifactField,
  take: (named: string, role: string | null, pointer: string) => Promise<string | null>,
  issues: Issue[],
): Promise<void> {
  const text = await readFile(join(paths.workspace, manifest), "utf8");
  const entries = parseManifest(text);
  if (entries === null) {
    issues.push({
      pointer: jsonPointer([field.name]),
      message: `${manifest} must be a flat JSON object of label: path`,
    });
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
 * folder, from which a file is copied in: anything else (a credential file, another run) is never served.
 */
async function locate(paths: RunPaths, named: string): Promise<Place> {
  if (named === "" || named.includes("\0")) return { problem: "must name a file" };
  const absolute = isAbsolute(named) ? named : resolve(paths.workspace, named);
  try {
    const real = await realpath(absolute);
    const info = await stat(real);
    if (!info.isFile()) return { problem: `${named} is not a file` };
    const workspace = await realpath(paths.workspace);
    if (isInside(workspace, real)) {
      return { path: relative(workspace, real).split(sep).join("/"), bytes: info.size };
    }
    if (isInside(await realpath(paths.temporary), real)) {
      await mkdir(paths.artifacts, { recursive: true });
      await copyFile(real, join(paths.artifacts, basename(real)));
      return { path: `artifacts/${basename(real)}`, bytes: info.size };
    }
    return {
      problem: `${named} lies outside the working folder; write it below artifacts/ and name that path`,
    };
  } catch {
    return { problem: `${named} does not exist; write the file below artifacts/ and name that path` };
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
