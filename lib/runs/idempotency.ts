import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { RunnerError } from "../errors.ts";
import type { RecordStore } from "../storage/index.ts";
import type { KeyedLock } from "./keyed-lock.ts";
import type { RunRecord } from "./record.ts";
import { canonicalJson } from "./result-cache.ts";
import { nullIfGone, PerhapsMade, type RunStore, RunTaken } from "./run-store.ts";
import { sha256 } from "./sha256.ts";
import type { Accepted } from "./submit.ts";

/** Which job a request under an `Idempotency-Key` made (draft-ietf-httpapi-idempotency-key-header-07). */
export interface Idempotency {
  /**
   * Makes a job once for each key; a second request that comes meanwhile waits for the first. A request that was
   * refused leaves nothing behind: it may come again under its key.
   * @param make makes the job under the id it is given
   * @throws RunnerError IDEMPOTENCY_KEY_REUSED when the key was used for another request
   */
  once(
    key: string,
    request: unknown,
    store: Pick<RunStore, "get">,
    make: (id: string) => Promise<Accepted>,
  ): Promise<Accepted>;
  /** Forgets keys whose job is gone and that are a day old. */
  sweep(store: Pick<RunStore, "get">, now: Date): Promise<void>;
}

const row = z.object({
  fingerprint: z.string(),
  request_id: z.string(),
  created_at: z.iso.datetime(),
  /** The job was made: when it is gone, it was deleted. Told by servers that have others beside them. */
  made: z.literal(true).optional(),
});

const keptMs = 24 * 3_600_000;

/** Milliseconds for which another server is trusted to be making the job of a key that it has taken. */
const makingMs = 10_000;
const lookAgainMs = 100;

/**
 * @param parts.newId makes the ids of jobs
 * @param parts.isShared other servers take keys on the same storage
 */
export function createIdempotency(parts: {
  records: RecordStore;
  isShared: boolean;
  locked: KeyedLock;
  newId(): string;
}): Idempotency {
  const { records, isShared, locked, newId } = parts;
  const isBeingMade = ({ created_at }: z.infer<typeof row>) =>
    isShared && Date.now() - Date.parse(created_at) < makingMs;
  const readRow = async (at: string) => row.safeParse(await records.read(at)).data ?? null;
  return {
    once(key, request, store, make) {
      const hash = sha256(key);
      const at = `idempotency:${hash.slice(0, 2)}:${hash}`;
      const fingerprint = sha256(canonicalJson(request));
      return locked(at, async () => {
        for (;;) {
          const known = await readRow(at);
          // Its job may be gone, or a crash have come before it was made: then the key is free.
          const run = known === null ? null : await store.get(known.request_id).catch(nullIfGone);
          if (known !== null && known.fingerprint !== fingerprint && (run !== null || isBeingMade(known))) {
            throw new RunnerError(
              "IDEMPOTENCY_KEY_REUSED",
              "This Idempotency-Key was used for another request. Take a new key for a new job.",
            );
          }
          if (run !== null) return answeredBefore(run);
          if (known !== null && isBeingMade(known)) {
            await sleep(lookAgainMs);
            continue;
          }
          // Whoever was slow to make it makes the same one: it exists once.
          const isSame = isShared && known?.fingerprint === fingerprint && known.made === undefined;
          const request_id = isSame ? known.request_id : newId();
          const taken = { fingerprint, request_id, created_at: new Date().toISOString() };
          if (!isShared) await records.write(at, taken);
          else if (!(await records.change([{ key: at, from: known, to: taken }]))) continue;
          try {
            const accepted = await make(taken.request_id);
            // What is not noted costs nothing, unless the job is deleted within a day and sent again.
            if (isShared)
              await records
                .change([{ key: at, from: taken, to: { ...taken, made: true } }])
                .catch(() => false);
            return accepted;
          } catch (error) {
            if (error instanceof RunTaken) continue;
            // Its key stays with it: who sends it again gets that job, or makes it under the same id.
            if (error instanceof PerhapsMade) throw error;
            await (isShared
              ? records.change([{ key: at, from: taken, to: null }])
              : records.remove(at)
            ).catch(() => undefined);
            throw error;
          }
        }
      });
    },
    async sweep(store, now) {
      for (const shard of await records.children("idempotency")) {
        for (const hash of await records.children(`idempotency:${shard}`)) {
          const at = `idempotency:${shard}:${hash}`;
          await locked(at, async () => {
            const known = await readRow(at);
            if (known !== null && now.getTime() - Date.parse(known.created_at) < keptMs) return;
            const gone = known === null || (await store.get(known.request_id).catch(nullIfGone)) === null;
            if (gone) await records.remove(at);
          });
        }
      }
    },
  };
}

/** As it was answered then: that a job's files made it a cache hit is the upload's answer, not this one's. */
function answeredBefore({ request_id, cache_hit, needs_upload }: RunRecord): Accepted {
  if (needs_upload) return { request_id, cache_hit: false, status: null };
  return { request_id, cache_hit, status: cache_hit ? "succeeded" : "queued" };
}
