import { z } from "zod";
import { runtimeOptions } from "./options.ts";
import { runStatus } from "./transitions.ts";

const time = z.iso.datetime();

/** Why a run did not succeed. `code` is stable. */
export const runError = z.object({
  code: z.string(),
  message: z.string(),
  issues: z
    .array(z.object({ pointer: z.string(), message: z.string(), code: z.string().optional() }))
    .optional(),
});
export type RunError = z.infer<typeof runError>;

export const runWarning = z.object({ code: z.string(), message: z.string() });
export type RunWarning = z.infer<typeof runWarning>;

export const usage = z.object({
  input_tokens: z.number(),
  cached_input_tokens: z.number(),
  output_tokens: z.number(),
  reasoning_output_tokens: z.number(),
  cost_usd: z.number().nullable(),
});

/** What the processes of a run took at most, all together; samples are a second apart. */
export const resources = z.object({
  peak_memory_mib: z.int().describe("Their memory in MiB; what several of them share counts once."),
  peak_processes: z.int(),
  peak_threads: z.int().describe("Threads of all of them, main threads included: what a pids limit counts."),
  peak_descriptors: z.int().nullable().describe("Open file descriptors; null where they could not be seen."),
});
export type Resources = z.infer<typeof resources>;

/** What the storage holds of a run: the one truth about its state. Files of the run lie in its folder (`paths.ts`). */
export const runRecord = z.object({
  request_id: z.string(),
  status: runStatus,
  skill_id: z.string(),
  skill_version: z.string(),
  skill_hash: z.string(),
  skill_source: z.enum(["installed", "temp_upload"]),
  engine: z.string(),
  model: z.string().nullable(),
  provider_id: z.string().nullable(),
  effort: z.string().nullable(),
  input: z.record(z.string(), z.unknown()),
  parameter: z.record(z.string(), z.unknown()),
  runtime_options: runtimeOptions.omit({ env: true }),
  conversation_mode: z.enum(["session", "non_session"]),
  needs_upload: z.boolean(),
  uploads: z.array(z.object({ path: z.string(), bytes: z.number(), sha256: z.string() })),
  created_at: time,
  updated_at: time,
  started_at: time.nullable(),
  finished_at: time.nullable(),
  attempt: z.number().int(),
  turns: z.number().int(),
  session_id: z.string().nullable(),
  cli_version: z.string().nullable(),
  usage: usage.nullable(),
  /** Null when nothing was measured: too short a run, or no /proc. Records of older versions do not have it. */
  resources: resources.nullable().default(null),
  cache_hit: z.boolean(),
  cached_from: z.string().nullable(),
  warnings: z.array(runWarning),
  error: runError.nullable(),
  recovery_state: z.enum(["none", "recovered_waiting", "failed_reconciled", "requeued"]),
  recovery_reason: z.string().nullable(),
  recovered_at: time.nullable(),
});
export type RunRecord = z.infer<typeof runRecord>;

/** What a record says of a run that nobody has touched yet. */
export const untouched = {
  uploads: [],
  started_at: null,
  finished_at: null,
  attempt: 0,
  turns: 0,
  session_id: null,
  cli_version: null,
  usage: null,
  resources: null,
  cache_hit: false,
  cached_from: null,
  warnings: [],
  error: null,
  recovery_state: "none",
  recovery_reason: null,
  recovered_at: null,
} satisfies Partial<RunRecord>;
