import { z } from "zod";
import { RunnerError } from "../errors.ts";
import type { RecordStore } from "../storage/index.ts";
import type { KeyedLock } from "./keyed-lock.ts";
import { canonicalJson } from "./result-cache.ts";
import { nullIfGone, type RunStore } from "./run-store.ts";
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

const row = z.object({ fingerprint: z.string(), request_id: z.string(), created_at: z.iso.datetime() });

const keptMs = 24 * 3_600_000;

/** @param parts.newId makes the ids of jobs */
export function createIdempotency(parts: {
  records: RecordStore;
  locked: KeyedLock;
  newId(): string;
}): Idempotency {
  const { records, locked, newId } = parts;
  const readRow = async (at: string) => row.safeParse(await records.read(at)).data ?? null;
  return {
    once(key, request, store, make) {
      const hash = sha256(key);
      const at = `idempotency:${hash.slice(0, 2)}:${hash}`;
      const fingerprint = sha256(canonicalJson(request));
      return locked(at, async () => {
        const known = await readRow(at);
        // Its job may be gone, or a crash have come before it was made: then the key is free.
        const run = known === null ? null : await store.get(known.request_id).catch(nullIfGone);
        if (known !== null && run !== null) {
          if (known.fingerprint !== fingerprint) {
            throw new RunnerError(
              "IDEMPOTENCY_KEY_REUSED",
              "This Idempotency-Key was used for another request. Take a new key for a new job.",
            );
          }
          const { request_id, cache_hit, needs_upload } = run;
          // As it was answered then: that a job's files made it a cache hit is the upload's answer, not this one's.
          if (needs_upload) return { request_id, cache_hit: false, status: null };
          return { request_id, cache_hit, status: cache_hit ? "succeeded" : "queued" };
        }
        const request_id = newId();
        await records.write(at, { fingerprint, request_id, created_at: new Date().toISOString() });
        try {
          return await make(request_id);
        } catch (error) {
          await records.remove(at).catch(() => undefined);
          throw error;
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
