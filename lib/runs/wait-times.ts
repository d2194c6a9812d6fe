import type { RunContext } from "./context.ts";
import type { RunRecord } from "./record.ts";

/** Seconds until an unanswered question is left to the agent; null: it waits for as long as it takes. */
export function autoReplySeconds({ settings }: Pick<RunContext, "settings">, run: RunRecord): number | null {
  // Nobody is there to answer.
  if (run.conversation_mode === "non_session") return 0;
  const { interactive_auto_reply, interactive_reply_timeout_sec } = run.runtime_options;
  if (!interactive_auto_reply) return null;
  return interactive_reply_timeout_sec ?? settings.replyTimeoutSeconds;
}

/** Seconds a run whose agent is not logged in waits for that; 0: it fails at once. */
export function authWaitSeconds({ settings }: Pick<RunContext, "settings">, run: RunRecord): number {
  if (run.conversation_mode === "non_session") return 0;
  const { execution_mode, auth_wait_timeout_sec } = run.runtime_options;
  return auth_wait_timeout_sec ?? (execution_mode === "interactive" ? settings.authWaitSeconds : 0);
}
