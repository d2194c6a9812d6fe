import { z } from "zod";
import { pendingAuth } from "./auth-challenge.ts";
import { folderCopy } from "./folder-copies.ts";
import { pendingInteraction, replyFile } from "./interaction.ts";
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

/** How the next attempt of a run that has run before goes on. */
export const resume = z.object({
  cause: z.enum(["reply", "auto_decide", "auth", "restart"]),
  /** The CLI's session to go on with; null: a new one. */
  session_id: z.string().nullable(),
  /** What the agent is told; null: the first prompt again. */
  prompt: z.string().nullable(),
  /** What was answered, for the event log. */
  reply: z
    .object({ interaction_id: z.int(), response: z.unknown(), files: z.array(replyFile) })
    .nullable()
    .default(null),
  auth: z.object({ auth_session_id: z.string(), method: z.string().nullable() }).nullable().default(null),
});
export type Resume = z.infer<typeof resume>;

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
  /** As the request asked for them, for a skill whose own defaults are not known yet; null otherwise. */
  requested_options: z.record(z.string(), z.unknown()).nullable().default(null),
  conversation_mode: z.enum(["session", "non_session"]),
  /** The name of the API key that it was sent with; null without keys, and in records of older versions. */
  sent_by: z.string().nullable().default(null),
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
  /** Changes of status so far, and what the last one was caused by: with them a log that a crash cut short is completed. */
  revision: z.int().default(0),
  trigger: z.string().nullable().default(null),
  /** The question a run in waiting_user waits for the answer of. */
  pending: pendingInteraction.nullable().default(null),
  /** The sign-in a run in waiting_auth waits for. */
  pending_auth: pendingAuth.nullable().default(null),
  /** What the agent's credential files looked like then: when they change, somebody has logged in. */
  credentials_seen: z.string().nullable().default(null),
  resume: resume.nullable().default(null),
  interaction_count: z.int().default(0),
  auto_decision_count: z.int().default(0),
  last_auto_decision_at: time.nullable().default(null),
  /** Replies that were accepted under an idempotency key: the same again is answered, not taken again. */
  replies: z
    .array(z.object({ interaction_id: z.int(), idempotency_key: z.string(), fingerprint: z.string() }))
    .default([]),
  /** Attempts that a crash of the server cut short. */
  crashes: z.int().default(0),
  /** The first turn of each attempt. */
  first_turns: z.array(z.int()).default([]),
  /** How often the record was stored, where several servers store it, and by whom the last time: who builds on older ground is refused. */
  edition: z.int().default(0),
  holder: z.string().nullable().default(null),
  /** The server that carried out the last attempt, where there are several. */
  node: z.string().nullable().default(null),
  /** The queue's job that it was carried out for. */
  job: z.string().nullable().default(null),
  /** The agent of this attempt was heard to work. Records of older versions say so by being stored while running. */
  worked: z.boolean().default(true),
  /** The agent's session lies in the run's folder, so that any server can go on with it. */
  session_in_folder: z.boolean().default(false),
  /** The copy of the run's folder in the storage that belongs to this record. */
  folder: folderCopy.nullable().default(null),
});
export type RunRecord = z.infer<typeof runRecord>;

/** What a record says of a run that nobody has touched yet. */
export const untouched = {
  requested_options: null,
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
  revision: 0,
  trigger: null,
  pending: null,
  pending_auth: null,
  credentials_seen: null,
  resume: null,
  interaction_count: 0,
  auto_decision_count: 0,
  last_auto_decision_at: null,
  replies: [],
  crashes: 0,
  first_turns: [],
  edition: 0,
  holder: null,
  node: null,
  job: null,
  worked: false,
  session_in_folder: false,
  folder: null,
} satisfies Partial<RunRecord>;
