import { type Agent, credentialsFingerprint, type Installation, loginMethods } from "../agents/index.ts";
import { howToLogIn, newsOf, type PendingAuth, takenInput } from "./auth-challenge.ts";
import type { RunContext } from "./context.ts";
import { moveOn } from "./move-on.ts";
import type { RunRecord } from "./record.ts";
import type { RunProgress } from "./run-progress.ts";
import type { Scheduler } from "./scheduler.ts";
import { authWaitSeconds } from "./wait-times.ts";

/** What a run whose agent is not logged in says that it waits for. */
export function askForLogin(
  context: RunContext,
  run: RunRecord,
  agent: Agent,
  installation: Installation,
  reason: string,
): PendingAuth {
  const methods = loginMethods(agent, context.serverEnvironment, installation);
  const only = methods.length === 1 ? methods[0] : undefined;
  const seconds = authWaitSeconds(context, run);
  const now = Date.now();
  return {
    auth_session_id: context.newId(),
    engine: agent.id,
    provider_id: run.provider_id,
    phase: only === undefined ? "method_selection" : "challenge_active",
    available_methods: methods,
    auth_method: only?.method ?? null,
    challenge_kind: only?.method ?? null,
    prompt: reason,
    instructions: howToLogIn(methods),
    auth_url: null,
    user_code: null,
    ...takenInput(methods),
    last_error: null,
    source_attempt: run.attempt,
    timeout_sec: seconds,
    created_at: new Date(now).toISOString(),
    expires_at: new Date(now + seconds * 1000).toISOString(),
  };
}

/** What an agent's credentials look like now, for `credentials_seen`. */
export function credentialsOf(context: RunContext, run: RunRecord): Promise<string> {
  return credentialsFingerprint(context.engines.get(run.engine), context.serverEnvironment);
}

/** Stores and tells how far the login is that a run waits for. */
export function tellChallenge(progress: RunProgress, pending_auth: PendingAuth): Promise<void> {
  return progress.amend({ pending_auth }, { type: "auth.challenge.updated", data: newsOf(pending_auth) });
}

/** Takes a run whose agent is logged in now back into the queue. The caller holds the run's lock. */
export async function completeLogin(
  context: RunContext,
  scheduler: Scheduler,
  run: RunRecord,
  method: string | null,
): Promise<void> {
  const { pending_auth, resume } = run;
  if (pending_auth === null || resume === null) return;
  const { auth_session_id } = pending_auth;
  await moveOn(context, scheduler, run, "auth.completed", {
    pending_auth: null,
    credentials_seen: null,
    resume: { ...resume, auth: { auth_session_id, method } },
  });
}
