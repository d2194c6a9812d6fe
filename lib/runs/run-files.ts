import { createHash } from "node:crypto";
import { open, realpath } from "node:fs/promises";
import { join, sep } from "node:path";
import { RunnerError } from "../errors.ts";
import type { RunPaths } from "./paths.ts";
import type { RunRecord } from "./record.ts";
import type { RunResult } from "./run-result.ts";

/** A file that may be sent: its place, size in bytes, and an entity tag that changes with its content. */
export interface ServedFile {
  absolute: string;
  bytes: number;
  modified: Date;
  etag: string;
}

/**
 * Finds an artifact for download. Only paths the result lists are served, and only when they still lie inside the
 * workspace with every link followed.
 * @throws RunnerError PATH_INVALID, ARTIFACT_NOT_FOUND
 */
export async function findArtifact(paths: RunPaths, result: RunResult, named: string): Promise<ServedFile> {
  const segments = named.split("/");
  if (
    named.includes("\0") ||
    named.includes("\\") ||
    segments.some((part) => part === "" || part === "." || part === "..")
  ) {
    throw new RunnerError(
      "PATH_INVALID",
      "An artifact path is relative, with / between names, and has no empty, . or .. part.",
    );
  }
  const notFound = new RunnerError(
    "ARTIFACT_NOT_FOUND",
    "The job has no such artifact. GET .../artifacts lists what it has.",
  );
  if (!result.artifacts.includes(named)) throw notFound;
  const absolute = await realpath(join(paths.workspace, named)).catch(() => null);
  if (absolute === null || !absolute.startsWith((await realpath(paths.workspace)) + sep)) throw notFound;
  return describeServed(absolute);
}

async function describeServed(absolute: string): Promise<ServedFile> {
  const file = await open(absolute, "r");
  try {
    const info = await file.stat();
    const identity = `${info.size}-${info.mtimeMs}-${info.ino}`;
    return {
      absolute,
      bytes: info.size,
      modified: info.mtime,
      etag: `"${createHash("sha1").update(identity).digest("base64url")}"`,
    };
  } finally {
    await file.close();
  }
}

/** One file of a bundle: its name in the zip, and where it lies or what it holds. */
export interface BundleFile {
  path: string;
  source: string | Buffer;
}

/**
 * What goes into a bundle: `manifest.json`, `result/result.json` and the artifacts; for debugging also
 * the uploads, every log, the event log and the rest of the workspace.
 */
export async function bundleFiles(
  paths: RunPaths,
  run: RunRecord,
  result: RunResult,
  extra: string[],
): Promise<BundleFile[]> {
  const ours = new Set(["manifest.json", "result/result.json", ...extra]);
  // An artifact that is named like a file of ours goes where it lies in the run's folder: no name comes twice.
  const nameOf = (artifact: string) =>
    ours.has(artifact) || artifact.startsWith("workspace/") ? `workspace/${artifact}` : artifact;
  const there = new Set(["result.json", ...result.artifacts.map((artifact) => `workspace/${artifact}`)]);
  const files: BundleFile[] = [
    { path: "result/result.json", source: Buffer.from(`${JSON.stringify(result, null, 2)}\n`) },
    ...result.artifacts.map((path) => ({ path: nameOf(path), source: join(paths.workspace, path) })),
    ...extra.filter((path) => !there.has(path)).map((path) => ({ path, source: join(paths.root, path) })),
  ];
  const manifest = {
    request_id: run.request_id,
    skill_id: run.skill_id,
    skill_version: run.skill_version,
    engine: run.engine,
    cli_version: run.cli_version,
    model: run.model,
    status: run.status,
    created_at: run.created_at,
    finished_at: run.finished_at,
    kind: extra.length > 0 ? "debug" : "result",
    files: files.map((file) => file.path),
  };
  return [{ path: "manifest.json", source: Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`) }, ...files];
}
