import { readdir, rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { decodeTime } from "ulid";
import type { RunContext } from "./context.ts";
import { isRunId, runPaths } from "./paths.ts";
import type { RunRecord } from "./record.ts";
import { cacheKey } from "./result-cache.ts";
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
  // Before the record: without it, nobody would know of the copy. A run that may still go on has none until it does.
  if (isTerminal(run.status)) await context.folders.drop(run.request_id);
  await context.store.remove(run);
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

/** Removes the days that lie wholly before the retention time, and files of jobs that are gone. Returns how many jobs went. */
export async function dropExpired(context: RunContext, scheduler: Scheduler, now: Date): Promise<number> {
  const { retentionDays } = context.settings;
  const removed = retentionDays === 0 ? 0 : await dropDaysBefore(context, scheduler, now, retentionDays);
  await sweepFolders(context, now);
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

/** Removes folders whose record is gone: a crash came between the two, or another server deleted the job. */
async function sweepFolders({ dataDir, store }: RunContext, now: Date): Promise<void> {
  const root = join(dataDir, "runs");
  for (const day of await readdir(root).catch(() => [])) {
    if (!/^\d{4}-\d\d-\d\d$/.test(day)) continue;
    const living = new Set(await store.idsOfDay(day));
    const folders = await readdir(join(root, day)).catch(() => []);
    // Beside a run's folder lies the copy of it that is just arriving, if one is.
    const ids = folders.map((name) => name.replace(/\..*/, ""));
    const isLeft = (id: string) =>
      isRunId(id) && !living.has(id) && now.getTime() - decodeTime(id) > arrivingMs;
    const left = folders.filter((_, n) => isLeft(ids[n] ?? ""));
    for (const name of left) await rm(join(root, day, name), { recursive: true, force: true });
    // Its last folder may have gone long ago, with its job; today's may get a new one at any moment.
    if (left.length === folders.length && day < now.toISOString().slice(0, 10))
      await rmdir(join(root, day)).catch(() => undefined);
  }
}
