import { join } from "node:path";
import { isThere, planFor, versionInPlace } from "./in-place.ts";
import type { InstallRecord } from "./record.ts";
import { finishSwap, HalfSwapped, putBack, type Swap, swapIn } from "./swap.ts";
import type { Sync } from "./sync-tree.ts";

export interface PlaceContext {
  /** Absolute path of the skills folder. */
  root: string;
  /** Engines this server has. */
  engines: readonly string[];
  sync: Sync;
  /** Stores the record; durable when it resolves. */
  save(record: InstallRecord): Promise<void>;
}

/** A record whose package was unpacked and checked. */
export type CheckedRecord = InstallRecord & { skill_id: string; version: string };

export function stagingOf(root: string, requestId: string): string {
  return join(root, ".staging", requestId);
}

/**
 * Puts a checked, durable package in place. The plan goes into the record before anything is moved.
 * @throws RunnerError what `planFor` and `swapIn` throw; after HalfSwapped the record keeps its journal
 */
export async function place(context: PlaceContext, record: CheckedRecord): Promise<void> {
  const plan = await planFor(context.root, { id: record.skill_id, version: record.version }, context.engines);
  record.action = plan.action;
  // Only what is stored may count: a plan that could not be written down is none.
  await context.save({ ...record, journal: { set_aside: plan.setAside } });
  record.journal = { set_aside: plan.setAside };
  await settling(record, swapIn(swapOf(context, record), context.sync));
}

/**
 * Brings what `place` has begun to an end, after a crash at any point of it.
 * @returns whether the package is in place; false: it is lost, and what was there before is in place again
 * @throws as `place` does
 */
export async function resumePlace(context: PlaceContext, record: CheckedRecord): Promise<boolean> {
  const swap = swapOf(context, record);
  const isInPlace = await isThere(join(context.root, record.skill_id));
  if (await isThere(swap.staged)) {
    // The package moves last: what is in place is what was there before, and by now it may be another.
    if (isInPlace) await place(context, record);
    else await settling(record, finishSwap(swap, context.sync));
    return true;
  }
  if (isInPlace) {
    record.journal = null;
    return (await versionInPlace(context.root, record.skill_id, context.engines)) === record.version;
  }
  const { setAside } = swap;
  if (setAside !== null && (await isThere(join(context.root, setAside)))) {
    await settling(record, putBack(swap, setAside, context.sync));
  }
  record.journal = null;
  return false;
}

function swapOf({ root }: PlaceContext, { request_id, skill_id, journal }: CheckedRecord): Swap {
  return {
    root,
    id: skill_id,
    staged: join(stagingOf(root, request_id), skill_id),
    setAside: journal?.set_aside ?? null,
  };
}

/** The journal has served its purpose once the one or the other is in place. */
async function settling(record: InstallRecord, swap: Promise<void>): Promise<void> {
  try {
    await swap;
    record.journal = null;
  } catch (error) {
    if (!(error instanceof HalfSwapped)) record.journal = null;
    throw error;
  }
}
