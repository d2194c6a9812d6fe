import { mkdirSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { syncFiles } from "../storage/index.ts";
import { type RunRecord, runError, runWarning } from "./record.ts";

/** `result.json` of a run that has ended: what the caller came for. */
export const runResult = z.object({
  status: z.enum(["success", "failed", "canceled"]),
  data: z.record(z.string(), z.unknown()).nullable(),
  /** Paths below the workspace. */
  artifacts: z.array(z.string()),
  artifact_details: z.array(z.object({ path: z.string(), role: z.string().nullable(), bytes: z.number() })),
  validation_warnings: z.array(runWarning),
  error: runError.nullable(),
  repair_level: z.enum(["none", "deterministic_generic"]),
});
export type RunResult = z.infer<typeof runResult>;

/**
 * Writes a run's result; `syncResult` makes it durable. In place: nobody reads it before the record says that the run
 * has ended, and a run that a crash caught in here is ended, and its result written, anew.
 */
export function writeResult(path: string, result: RunResult): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(result, null, 2)}\n`);
}

/** Makes a result durable with the artifacts it names: whoever is told of them finds them after a power cut. */
export async function syncResult(path: string, workspace: string, result: RunResult): Promise<void> {
  await syncFiles([path, ...result.artifacts.map((artifact) => join(workspace, artifact))]);
}

/** The result of an ended run, or null when its file is gone. */
export async function readResult(path: string): Promise<RunResult | null> {
  try {
    return runResult.parse(JSON.parse(await readFile(path, "utf8")));
  } catch {
    return null;
  }
}

/** The result of a run that has ended; what its record says where the file is gone. */
export async function resultOf(path: string, { status, error }: RunRecord): Promise<RunResult> {
  return (await readResult(path)) ?? emptyResult(status === "canceled" ? "canceled" : "failed", error);
}

/** A result that holds no answer, only why there is none. */
export function emptyResult(status: "failed" | "canceled", error: RunResult["error"]): RunResult {
  return {
    status,
    data: null,
    artifacts: [],
    artifact_details: [],
    validation_warnings: [],
    error,
    repair_level: "none",
  };
}
