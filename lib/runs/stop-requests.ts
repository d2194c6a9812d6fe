import type { RecordStore } from "../storage/index.ts";
import { bucketOf } from "./paths.ts";

/** Which runs are to be ended that another server carries out: it may be out of reach, or gone, when that is asked of it. */
export interface StopRequests {
  ask(runId: string): Promise<void>;
  isAskedFor(runId: string): Promise<boolean>;
  forget(runId: string): Promise<void>;
}

export function createStopRequests(records: RecordStore): StopRequests {
  const keyOf = (runId: string) => `stops:${bucketOf(runId).day}:${runId}`;
  return {
    ask: (runId) => records.write(keyOf(runId), { at: new Date().toISOString() }),
    isAskedFor: async (runId) => (await records.read(keyOf(runId))) !== null,
    forget: (runId) => records.remove(keyOf(runId)),
  };
}
