import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ulid } from "ulid";
import { bucketOf } from "../lib/runs/paths.ts";
import { type RunRecord, runRecord, untouched } from "../lib/runs/record.ts";

const dayMs = 86_400_000;
/** Time that the runs of a full store span: the default retention. */
export const spanDays = 7;

/** Every tenth run failed; every thousandth is of a skill of its own. */
export const commonStatus = "failed";
export const rareSkill = "rare-skill";

export interface Seed {
  /** How many of the newest runs to write. */
  count: number;
  /** Runs the whole span has: with `count`, it says how far back the written ones reach. */
  perSpan: number;
  now: number;
}

/**
 * Writes run records where and how the server writes them, but without fsync. They lie evenly over the time, day and
 * night: that makes the fullest folders for their number. Gives their ids, newest first.
 */
export function seedRuns(dataDir: string, { count, perSpan, now }: Seed): string[] {
  const made = new Set<string>();
  const ids: string[] = [];
  for (let n = 0; n < count; n++) {
    const time = now - 60_000 - Math.floor((n * spanDays * dayMs) / perSpan);
    const id = ulid(time);
    const { day, slot } = bucketOf(id);
    const folder = join(dataDir, "state", "runs", day, slot);
    if (!made.has(folder)) mkdirSync(folder, { recursive: true });
    made.add(folder);
    writeFileSync(join(folder, id), JSON.stringify(recordOf(id, n, time)));
    ids.push(id);
  }
  return ids;
}

function recordOf(id: string, n: number, time: number): RunRecord {
  const at = (ms: number) => new Date(time + ms).toISOString();
  const failed = n % 10 === 5;
  const record: RunRecord = {
    ...untouched,
    request_id: id,
    status: failed ? commonStatus : "succeeded",
    skill_id: n % 1_000 === 777 ? rareSkill : "text-stats",
    skill_version: "1.0.0",
    skill_hash: "b".repeat(64),
    skill_source: "installed",
    engine: "codex",
    model: "gpt-5.5",
    provider_id: null,
    effort: null,
    input: { text: "A text of some length that stands for what callers send. ".repeat(8) },
    parameter: { language: "en" },
    runtime_options: { no_cache: false, execution_mode: "auto", interactive_auto_reply: false, priority: 5 },
    conversation_mode: "session",
    sent_by: null,
    needs_upload: false,
    created_at: at(0),
    updated_at: at(42_000),
    started_at: at(5),
    finished_at: at(42_000),
    attempt: 1,
    turns: 1,
    session_id: "01a20ebe-7df7-7052-a18a-e9fd2a2c1565",
    cli_version: "0.169.0",
    usage: {
      input_tokens: 1000,
      cached_input_tokens: 100,
      output_tokens: 50,
      reasoning_output_tokens: 10,
      cost_usd: null,
    },
    resources: { peak_memory_mib: 180, peak_processes: 3, peak_threads: 30, peak_descriptors: 80 },
    error: failed ? { code: "OUTPUT_SCHEMA_REPAIR_EXHAUSTED", message: "The answer does not fit." } : null,
  };
  // A record the server would not read is a run it does not list: better to fail here.
  return n === 0 ? runRecord.parse(record) : record;
}
