import { constants, copyFile, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { RunPaths } from "./paths.ts";
import { readResult, writeResult } from "./run-result.ts";

/**
 * Copies what a run answered (result and artifacts) into another run's folder. False when the source is not whole any
 * more; what was copied then lies in a folder that nobody reads.
 */
export async function copyResult(from: RunPaths, to: RunPaths): Promise<boolean> {
  const result = await readResult(from.result);
  if (result?.status !== "success") return false;
  try {
    for (const path of result.artifacts) {
      const target = join(to.workspace, path);
      await mkdir(dirname(target), { recursive: true });
      await copyFile(join(from.workspace, path), target, constants.COPYFILE_FICLONE);
    }
  } catch {
    return false;
  }
  await writeResult(to.result, result);
  return true;
}
