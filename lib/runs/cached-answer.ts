import { constants, copyFile, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { RunContext } from "./context.ts";
import { type RunPaths, runPaths } from "./paths.ts";
import type { RunRecord } from "./record.ts";
import { cacheKey } from "./result-cache.ts";
import { openRunProgress } from "./run-progress.ts";
import { readResult, syncResult, writeResult } from "./run-result.ts";
import { nullIfGone } from "./run-store.ts";
import { describeStep } from "./state-change.ts";

/**
 * Gives a run the answer that an equal one got before, result and artifacts copied into its folder, or null. A copy, so
 * that each job can be deleted without harm to another.
 */
export async function answerFromCache(
  context: RunContext,
  run: RunRecord,
): Promise<Pick<RunRecord, "cache_hit" | "cached_from"> | null> {
  const key = cacheKey(run);
  const source = key === null ? null : await context.cache.lookup(key);
  if (key === null || source === null) return null;
  const from = await context.store.get(source).then(context.folders.here).catch(nullIfGone);
  if (from !== null && (await copyResult(from, runPaths(context.dataDir, run.request_id))))
    return { cache_hit: true, cached_from: source };
  await context.cache.forget(key);
  return null;
}

/** Makes a run exist that was answered at once. Told first: what is told of a run that does not exist, nobody reads. */
export async function createAnswered(
  context: RunContext,
  run: RunRecord,
  hit: Pick<RunRecord, "cache_hit" | "cached_from">,
): Promise<void> {
  const now = new Date().toISOString();
  const answered: RunRecord = {
    ...run,
    ...hit,
    status: "succeeded",
    trigger: "cache.hit",
    revision: 1,
    updated_at: now,
    finished_at: now,
  };
  const progress = await openRunProgress(context, run);
  for (const event of describeStep(answered, run.status)) progress.tell(event);
  await progress.close();
  await context.store.create({ ...answered, folder: await context.folders.keep(answered) });
}

/**
 * Copies what a run answered (result and artifacts) into another run's folder. False when the source is not whole any
 * more; what was copied then lies in a folder that nobody reads.
 */
async function copyResult(from: RunPaths, to: RunPaths): Promise<boolean> {
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
  writeResult(to.result, result);
  await syncResult(to.result, to.workspace, result);
  return true;
}
