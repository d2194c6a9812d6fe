import { z } from "zod";
import {
  pendingAuth,
  pendingInteraction,
  resources,
  runError,
  runResult,
  runStatus,
  runWarning,
  usage,
} from "../../lib/runs/index.ts";

/** Shapes that several endpoints share, as they go over the wire. */

export const requestId = z.object({
  request_id: z.string().describe("The job's id, from POST /v1/jobs."),
});

const anyObject = z.record(z.string(), z.unknown());

/** What a job came to while its caller waited for it (`Prefer: wait`). */
export const settled = z
  .object({
    request_id: z.string(),
    cache_hit: z.boolean(),
    status: runStatus.nullable().describe("Null while the job waits for its upload."),
    result: runResult.optional().describe("There when the job has ended."),
    pending: pendingInteraction.optional().describe("There when the job asks something."),
    pending_auth: pendingAuth.optional().describe("There when the job waits for a login."),
  })
  .meta({ id: "Settled" });

export const jobSummary = z
  .object({
    request_id: z.string(),
    status: runStatus,
    skill_id: z.string(),
    engine: z.string(),
    model: z.string().nullable(),
    created_at: z.string(),
    updated_at: z.string(),
    started_at: z.string().nullable(),
    finished_at: z.string().nullable(),
    cache_hit: z.boolean(),
    error_code: z.string().nullable(),
  })
  .meta({ id: "JobSummary" });

const modes = {
  requested_execution_mode: z.string(),
  effective_execution_mode: z.string(),
  conversation_mode: z.string(),
  interactive_auto_reply: z.boolean(),
  interactive_reply_timeout_sec: z.int().nullable(),
  effective_interactive_require_user_reply: z.boolean(),
};

export const jobStatus = z
  .object({
    request_id: z.string(),
    status: runStatus,
    skill_id: z.string(),
    engine: z.string(),
    provider_id: z.string().nullable(),
    model: z.string().nullable(),
    created_at: z.string(),
    updated_at: z.string(),
    warnings: z.array(runWarning),
    error: runError.nullable(),
    auto_decision_count: z.int(),
    last_auto_decision_at: z.string().nullable(),
    pending_interaction_id: z.int().nullable(),
    pending_auth_session_id: z.string().nullable(),
    interaction_count: z.int(),
    recovery_state: z.string(),
    recovered_at: z.string().nullable(),
    recovery_reason: z.string().nullable(),
    ...modes,
    current_attempt: z.int(),
    pending_owner: z.string().nullable(),
    resume_cause: z
      .string()
      .nullable()
      .describe("Why the job's next or present attempt goes on with an earlier one."),
    workspaceDir: z.string().describe("Below the server's data directory."),
    resultJsonPath: z.string().describe("Below the server's data directory."),
    observability_ready: z.boolean(),
    effort: z.string().nullable(),
    priority: z.int().describe("1 (served first) to 10 (last)."),
    sent_by: z
      .string()
      .nullable()
      .describe("Name of the API key that it was sent with; null on a server without keys."),
    skill_version: z.string(),
    skill_source: z.string(),
    cache_hit: z.boolean(),
    cached_from: z.string().nullable(),
    cli_version: z.string().nullable(),
    started_at: z.string().nullable(),
    finished_at: z.string().nullable(),
    turns: z.int(),
    session_id: z.string().nullable(),
    usage: usage.nullable(),
    resources: resources.nullable().describe("Null when nothing was measured."),
    upload_required: z.boolean(),
    uploads: z.array(z.object({ path: z.string(), bytes: z.int(), sha256: z.string() })),
  })
  .meta({ id: "JobStatus" });

export const pendingView = z
  .object({
    request_id: z.string(),
    status: runStatus,
    ...modes,
    pending: pendingInteraction.nullable().describe("The question the job waits for the answer of."),
    pending_auth_method_selection: pendingAuth.nullable(),
    pending_auth: pendingAuth.nullable().describe("The login the job waits for."),
    pending_owner: z.string().nullable(),
  })
  .meta({ id: "Pending" });

/** The idempotency key of a reply; null when it has none. */
export const replyKey = z
  .string()
  .min(1)
  .max(200)
  .nullish()
  .transform((value) => value ?? null)
  .describe("The same reply under the same key is taken once.");

export const replyAccepted = z
  .object({
    request_id: z.string(),
    status: z.enum(["queued", "waiting_auth"]).describe("queued: the job goes on."),
    accepted: z.literal(true),
    mode: z.enum(["interaction", "auth"]),
  })
  .meta({ id: "ReplyAccepted" });

export const skillSummary = z
  .looseObject({
    id: z.string(),
    version: z.string(),
    name: z.string().nullable(),
    description: z.string().nullable(),
    execution_modes: z.array(z.string()),
    effective_engines: z.array(z.string()),
    kind: z.enum(["package", "plain"]),
    runnable: z.boolean().describe("False when the package has errors: it is listed but never runs."),
    errors: z.array(z.object({ pointer: z.string(), message: z.string(), code: z.string().optional() })),
    warnings: z.array(z.object({ pointer: z.string(), message: z.string(), code: z.string().optional() })),
  })
  .meta({ id: "Skill" });

export const skillDetail = z
  .looseObject({
    ...skillSummary.shape,
    schemas_resolved: z.object({
      input: anyObject.nullable(),
      parameter: anyObject.nullable(),
      output: anyObject.nullable(),
    }),
    files: z.array(z.string()),
    package_hash: z.string(),
  })
  .meta({ id: "SkillDetail" });
