import { join } from "node:path";
import { runPaths } from "./paths.ts";
import type { RunRecord } from "./record.ts";

/** A job as `GET /v1/jobs/{id}` shows it: the reference system's fields, and a few of our own at the end. */
export function describeRun(run: RunRecord) {
  const { relative } = runPaths("", run.request_id);
  return {
    request_id: run.request_id,
    status: run.status,
    skill_id: run.skill_id,
    engine: run.engine,
    provider_id: run.provider_id,
    model: run.model,
    created_at: run.created_at,
    updated_at: run.updated_at,
    warnings: run.warnings,
    error: run.error,
    auto_decision_count: run.auto_decision_count,
    last_auto_decision_at: run.last_auto_decision_at,
    pending_interaction_id: run.pending?.interaction_id ?? null,
    pending_auth_session_id: run.pending_auth?.auth_session_id ?? null,
    interaction_count: run.interaction_count,
    recovery_state: run.recovery_state,
    recovered_at: run.recovered_at,
    recovery_reason: run.recovery_reason,
    ...describeModes(run),
    current_attempt: run.attempt,
    pending_owner: ownerOf(run),
    resume_cause: run.resume?.cause ?? null,
    workspaceDir: join(relative, "workspace"),
    resultJsonPath: join(relative, "result.json"),
    observability_ready: run.attempt > 0,
    effort: run.effort,
    priority: run.runtime_options.priority,
    sent_by: run.sent_by,
    skill_version: run.skill_version,
    skill_source: run.skill_source,
    cache_hit: run.cache_hit,
    cached_from: run.cached_from,
    cli_version: run.cli_version,
    started_at: run.started_at,
    finished_at: run.finished_at,
    turns: run.turns,
    session_id: run.session_id,
    usage: run.usage,
    resources: run.resources,
    upload_required: run.status === "created",
    uploads: run.uploads,
  };
}

function describeModes(run: RunRecord) {
  const { execution_mode: mode, interactive_auto_reply, interactive_reply_timeout_sec } = run.runtime_options;
  return {
    requested_execution_mode: mode,
    effective_execution_mode: mode,
    conversation_mode: run.conversation_mode,
    interactive_auto_reply,
    interactive_reply_timeout_sec: interactive_reply_timeout_sec ?? null,
    effective_interactive_require_user_reply:
      mode === "interactive" && !interactive_auto_reply && run.conversation_mode === "session",
  };
}

/** Whose turn it is, in the reference system's words; null: nobody's but the agent's. */
function ownerOf({ status, pending_auth }: RunRecord): string | null {
  if (status === "waiting_user") return "waiting_user";
  if (status !== "waiting_auth" || pending_auth === null) return null;
  return pending_auth.phase === "method_selection"
    ? "waiting_auth.method_selection"
    : "waiting_auth.challenge_active";
}

/** What a job waits for, if it does. */
export function describePending(run: RunRecord) {
  const { pending_auth: auth } = run;
  return {
    request_id: run.request_id,
    status: run.status,
    ...describeModes(run),
    pending: run.pending,
    pending_auth_method_selection: auth?.phase === "method_selection" ? auth : null,
    pending_auth: auth,
    pending_owner: ownerOf(run),
  };
}

/** How far the login is that a job waits for. */
export function describeAuth(run: RunRecord) {
  const { pending_auth: auth } = run;
  return {
    request_id: run.request_id,
    status: run.status,
    waiting_auth: auth !== null,
    phase: auth?.phase ?? null,
    available_methods: auth?.available_methods ?? [],
    selected_method: auth?.auth_method ?? null,
    auth_session_id: auth?.auth_session_id ?? null,
    provider_id: auth?.provider_id ?? null,
    challenge_kind: auth?.challenge_kind ?? null,
    auth_url: auth?.auth_url ?? null,
    user_code: auth?.user_code ?? null,
    timeout_sec: auth?.timeout_sec ?? null,
    created_at: auth?.created_at ?? null,
    expires_at: auth?.expires_at ?? null,
    server_now: new Date().toISOString(),
    last_error: auth?.last_error ?? null,
    source_attempt: auth?.source_attempt ?? null,
    pending_owner: ownerOf(run),
  };
}

/** A job in a list: what one scans for. */
export function summarizeRun(run: RunRecord) {
  return {
    request_id: run.request_id,
    status: run.status,
    skill_id: run.skill_id,
    engine: run.engine,
    model: run.model,
    created_at: run.created_at,
    updated_at: run.updated_at,
    started_at: run.started_at,
    finished_at: run.finished_at,
    cache_hit: run.cache_hit,
    error_code: run.error?.code ?? null,
  };
}
