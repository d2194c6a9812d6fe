import { failureOf, interrupted } from "./failure.ts";
import { isThere } from "./in-place.ts";
import { type CheckedRecord, type PlaceContext, resumePlace } from "./place.ts";
import type { InstallRecord } from "./record.ts";
import type { InstallRecords } from "./records.ts";
import type { RequestFiles } from "./request-files.ts";

export interface RecoverContext extends PlaceContext {
  records: InstallRecords;
  requests: RequestFiles;
  /** Stores how an install has ended, then cleans up after it. */
  end(record: InstallRecord): Promise<void>;
  cleanUp(record: InstallRecord): Promise<void>;
  onError(error: unknown): void;
}

/**
 * What the last process left: an install whose package was about to be put in place is finished, any other that was
 * running has failed (what it did to the last process it may do to this one), and those that waited go on waiting.
 * @returns the ones that wait, oldest first
 */
export async function recoverInstalls(context: RecoverContext): Promise<InstallRecord[]> {
  const { records, requests } = context;
  const queued: InstallRecord[] = [];
  for (const id of await records.ids()) {
    const record = await records.read(id);
    if (record === null) continue;
    // One that cannot be settled is no reason for the server not to start.
    await settle(context, record).catch(context.onError);
    if (record.status === "queued") queued.push(record);
  }
  await requests.keepOnly(new Set(queued.map(({ request_id }) => request_id)));
  return queued;
}

async function settle(context: RecoverContext, record: InstallRecord): Promise<void> {
  if (isChecked(record)) return resume(context, record);
  if (record.status === "queued" && (await isThere(context.requests.pathOf(record.request_id)))) return;
  if (record.status === "queued" || record.status === "running") {
    return context.end(Object.assign(record, { status: "failed", error: interrupted }));
  }
  await context.cleanUp(record);
}

async function resume(context: RecoverContext, record: CheckedRecord): Promise<void> {
  try {
    const isDone = await resumePlace(context, record);
    Object.assign(
      record,
      isDone ? { status: "succeeded", error: null } : { status: "failed", error: interrupted },
    );
  } catch (error) {
    context.onError(error);
    Object.assign(record, { status: "failed", error: failureOf(error) });
  }
  await context.end(record);
}

function isChecked(record: InstallRecord): record is CheckedRecord {
  return record.journal !== null && record.skill_id !== null && record.version !== null;
}
