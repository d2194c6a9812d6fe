import { existsSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { decodeTime } from "ulid";
import type { RunContext } from "./context.ts";
import { isRunId, runPaths } from "./paths.ts";
import type { RunRecord } from "./record.ts";
import { cacheKey } from "./result-cache.ts";
import { markFile } from "./run-folders.ts";
import { nullIfGone, RunTaken } from "./run-store.ts";
import type { Scheduler } from "./scheduler.ts";
import { isTerminal } from "./transitions.ts";
import { removeRunFiles } from "./workspace.ts";

/** Milliseconds after a job's id was made in which its files may be there before its record. */
const arrivingMs = 3_600_000;

export interface CleanupCount {
  runs_deleted: number;
  requests_deleted: number;
  cache_entries_deleted: number;
  /** Jobs that are queued or running, and were left alone. */
  runs_kept: number;
}

/**
 * Removes a run that has ended, or that never got its files: record first, so that a crash leaves only litter.
 * @throws RunTaken when another server gave it its files in this moment
 */
export async function removeRun(context: RunContext, run: RunRecord): Promise<void> {
  // Before the record: without it, nobody would know of the copy. Of a run that may still go on, not before it cannot any more.
  if (isTerminal(run.status)) await context.folders.drop(run.request_id);
  await context.store.remove(run);
  if (!isTerminal(run.status)) await context.folders.drop(run.request_id);
  context.feeds.dismiss(run.request_id);
  const key = run.status === "succeeded" && !run.cache_hit ? cacheKey(run) : null;
  if (key !== null && (await context.cache.lookup(key)) === run.request_id) await context.cache.forget(key);
  await context.secrets.forget(run.request_id);
  await removeRunFiles(runPaths(context.dataDir, run.request_id));
}

/** Removes every job but those in progress, and the whole result cache. */
export async function cleanUpAll(context: RunContext, scheduler: Scheduler): Promise<CleanupCount> {
  const cacheEntries = await context.cache.clear();
  const { removed, executed, kept } = await removeDays(context, scheduler, await context.store.days());
  return {
    runs_deleted: executed,
    requests_deleted: removed,
    cache_entries_deleted: cacheEntries,
    runs_kept: kept,
  };
}

/** Removes the days that lie wholly before the retention time, and files of jobs that other servers deleted. Returns how many jobs went. */
export async function dropExpired(context: RunContext, scheduler: Scheduler, now: Date): Promise<number> {
  const { retentionDays } = context.settings;
  const removed = retentionDays === 0 ? 0 : await dropDaysBefore(context, scheduler, now, retentionDays);
  if (context.store.isShared) await sweepDeleted(context, now);
  return removed;
}

async function dropDaysBefore(
  context: RunContext,
  scheduler: Scheduler,
  now: Date,
  retentionDays: number,
): Promise<number> {
  const oldest = new Date(now.getTime() - retentionDays * 86_400_000).toISOString().slice(0, 10);
  const expired = (await context.store.days()).filter((day) => day < oldest);
  const { removed } = await removeDays(context, scheduler, expired);
  await sweepDays(context, oldest);
  return removed;
}

async function removeDays(context: RunContext, scheduler: Scheduler, days: string[]) {
  let removed = 0;
  let executed = 0;
  let kept = 0;
  for (const day of days) {
    const keptBefore = kept;
    for (const id of await context.store.idsOfDay(day)) {
      const outcome = await context.locked(id, () => removeIfIdle(context, scheduler, id));
      if (outcome === "kept") kept += 1;
      else removed += 1;
      if (outcome === "executed") executed += 1;
    }
    // Today's folder may get a new job at any moment: only days that are over are dropped whole.
    if (kept === keptBefore && day < new Date().toISOString().slice(0, 10)) await context.store.dropDay(day);
  }
  return { removed, executed, kept };
}

async function removeIfIdle(
  context: RunContext,
  scheduler: Scheduler,
  id: string,
): Promise<"kept" | "executed" | "removed"> {
  const run = await context.store.get(id).catch(nullIfGone);
  if (run === null) return "removed";
  if (!(isTerminal(run.status) || run.status === "created")) return "kept";
  await scheduler.released(id);
  try {
    await removeRun(context, run);
  } catch (error) {
    if (error instanceof RunTaken) return "kept";
    throw error;
  }
  return run.attempt > 0 ? "executed" : "removed";
}

/** Removes what lies of days that are over for good: folders whose record is gone, as a crash came between the two. */
async function sweepDays({ dataDir, store }: RunContext, oldest: string): Promise<void> {
  const living = new Set(await store.days());
  for (const day of await daysWithFolders(dataDir)) {
    if (day < oldest && !living.has(day))
      await rm(join(dataDir, "runs", day), { recursive: true, force: true });
  }
}

/**
 * Removes files of jobs that another server has deleted. Only those of which the storage had a copy: what lies here alone is never
 * removed for want of a record, which may be in a storage that the server has not been told of.
 */
async function sweepDeleted({ dataDir, store, log }: RunContext, now: Date): Promise<void> {
  for (const day of await daysWithFolders(dataDir)) {
    const root = join(dataDir, "runs", day);
    const living = new Set(await store.idsOfDay(day));
    const isLeft = (id: string) =>
      isRunId(id) &&
      !living.has(id) &&
      now.getTime() - decodeTime(id) > arrivingMs &&
      existsSync(join(root, id, markFile));
    for (const id of (await readdir(root).catch(() => [])).filter(isLeft))
      await rm(join(root, id), { recursive: true, force: true }).catch((error: unknown) =>
        log.warn({ err: error, run: id }, "files of a job that is gone could not be removed"),
      );
  }
}

async function daysWithFolders(dataDir: string): Promise<string[]> {
  const names = await readdir(join(dataDir, "runs")).catch(() => []);
  return names.filter((name) => /^\d{4}-\d\d-\d\d$/.test(name));
}
