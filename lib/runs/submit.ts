import { RunnerError } from "../errors.ts";
import { type Skill, splitInputs } from "../skills/index.ts";
import { answerFromCache, createAnswered } from "./cached-answer.ts";
import { checkRequest, type JobRequest } from "./check-request.ts";
import type { RunContext } from "./context.ts";
import { type RunRecord, untouched } from "./record.ts";
import { RunTaken } from "./run-store.ts";
import type { Scheduler } from "./scheduler.ts";

export interface Accepted {
  request_id: string;
  cache_hit: boolean;
  /** Null while the job waits for its upload. */
  status: "queued" | "succeeded" | null;
}

/**
 * Checks a request and makes a job of it. Everything that can be refused is refused before anything is written; when
 * it resolves, the job is durable.
 * @param sender the name of the API key that it came with
 * @throws RunnerError what `checkRequest` throws, ENGINE_NOT_INSTALLED, QUEUE_FULL, SHUTTING_DOWN
 */
export async function submit(
  context: RunContext,
  scheduler: Scheduler,
  request: JobRequest,
  sender: string | null,
  id: string = context.newId(),
): Promise<Accepted> {
  assertAccepting(context);
  const {
    skill,
    model,
    options: { env, ...options },
  } = await checkRequest(context, request);
  const now = new Date().toISOString();
  const needsUpload = skill === null || splitInputs(skill).file.length > 0;
  const run: RunRecord = {
    ...untouched,
    request_id: id,
    status: needsUpload ? "created" : "queued",
    ...describeSkill(skill),
    skill_source: request.skill_source,
    engine: request.engine,
    ...model,
    input: request.input,
    parameter: request.parameter,
    runtime_options: options,
    requested_options: skill === null ? withoutEnvironment(request.runtime_options) : null,
    conversation_mode: request.conversation_mode,
    sent_by: sender,
    needs_upload: needsUpload,
    created_at: now,
    updated_at: now,
  };
  if (needsUpload) {
    await context.secrets.keep(run.request_id, env);
    await context.store.create(run);
    return { request_id: run.request_id, cache_hit: false, status: null };
  }
  const cached = await answerFromCache(context, run);
  if (cached) {
    await createAnswered(context, run, cached);
    return { request_id: run.request_id, cache_hit: true, status: "succeeded" };
  }
  const reservation = await scheduler.reserve(run);
  try {
    await context.secrets.keep(run.request_id, env);
    await context.store.create(run);
  } catch (error) {
    reservation.release();
    // Another server has made it under the same key: it is not ours to take back.
    if (error instanceof RunTaken) throw error;
    // Whatever was written of it: the caller is told that nothing was, and will send it again.
    await Promise.allSettled([context.store.remove(run.request_id), context.secrets.forget(run.request_id)]);
    throw error;
  }
  scheduler.start(run, reservation);
  return { request_id: run.request_id, cache_hit: false, status: "queued" };
}

/** What a record says of its skill; nothing yet of one that comes with the upload. */
export function describeSkill(
  skill: Skill | null,
): Pick<RunRecord, "skill_id" | "skill_version" | "skill_hash"> {
  if (skill === null) return { skill_id: "", skill_version: "", skill_hash: "" };
  return { skill_id: skill.id, skill_version: skill.manifest.version, skill_hash: skill.hash };
}

/** Secrets are kept apart from the record. */
function withoutEnvironment({ env: _env, ...options }: Record<string, unknown>): Record<string, unknown> {
  return options;
}

/** @throws RunnerError SHUTTING_DOWN */
export function assertAccepting(context: RunContext): void {
  if (context.accepting()) return;
  throw new RunnerError("SHUTTING_DOWN", "The server is shutting down. Send the request again in a moment.", {
    retryAfterSeconds: 5,
  });
}
