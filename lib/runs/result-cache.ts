import type { RecordStore } from "../storage/index.ts";
import type { RunRecord } from "./record.ts";
import { sha256 } from "./sha256.ts";

/** Changes whenever what goes into the key changes: old rows then simply never match. */
const cacheKeyVersion = 3;

/** Remembers which run answered what. Only runs that succeeded get in. */
export interface ResultCache {
  /** The id of the run that has the answer, or null. */
  lookup(key: string): Promise<string | null>;
  remember(key: string, runId: string): Promise<void>;
  forget(key: string): Promise<void>;
  /** Forgets all; resolves with how many rows there were. */
  clear(): Promise<number>;
}

export function createResultCache(records: RecordStore): ResultCache {
  // Two levels, so that no folder of the fs driver holds every row.
  const rowOf = (key: string) => `cache:${key.slice(0, 2)}:${key}`;
  return {
    async lookup(key) {
      const row = await records.read(rowOf(key));
      return typeof row === "object" && row !== null && "run_id" in row && typeof row.run_id === "string"
        ? row.run_id
        : null;
    },
    remember: (key, runId) => records.write(rowOf(key), { run_id: runId }, { durable: false }),
    forget: (key) => records.remove(rowOf(key)),
    async clear() {
      let rows = 0;
      for (const shard of await records.children("cache"))
        rows += (await records.children(`cache:${shard}`)).length;
      await records.clear("cache");
      return rows;
    },
  };
}

/**
 * The key of a run's answer: same skill content, engine, model, inputs, parameters and files give the same key. Null
 * when the run may not use the cache (`no_cache`, interactive). `env` is not in the key: a caller whose variables
 * change the answer says `no_cache`. Nor is `priority`: it says when a run is served, not what it answers.
 */
export function cacheKey(run: RunRecord): string | null {
  if (run.runtime_options.no_cache || run.runtime_options.execution_mode === "interactive") return null;
  const preamble = run.runtime_options.preamble_prompt;
  return sha256(
    canonicalJson({
      cache_key_version: cacheKeyVersion,
      skill_source: run.skill_source,
      skill_id: run.skill_id,
      engine: run.engine,
      skill_package_hash: run.skill_hash,
      parameter: run.parameter,
      engine_options: { model: run.model, provider_id: run.provider_id, effort: run.effort },
      input_manifest_hash: run.uploads.length === 0 ? "" : sha256(canonicalJson(run.uploads)),
      inline_input_hash: Object.keys(run.input).length === 0 ? "" : sha256(canonicalJson(run.input)),
      workspace_input_token: "",
      preamble_prompt_hash: preamble === undefined ? "" : sha256(preamble),
    }),
  );
}

/** JSON with sorted keys and no white space: equal values give equal text. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
