import { RunnerError } from "../errors.ts";
import { type Skill, splitInputs } from "../skills/index.ts";
import { answerFromCache, createAnswered } from "./cached-answer.ts";
import { checkRequest, type JobRequest } from "./check-request.ts";
import type { RunContext } from "./context.ts";
import { type RunRecord, untouched } from "./record.ts";
import { PerhapsMade, RunTaken } from "./run-store.ts";
import type { Scheduler } from "./scheduler.ts";
import { takeBack } from "./take-back.ts";

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
 * @param keptId the id that the same request, sent again, is to have; null: nobody knows of it
 * @throws RunnerError what `checkRequest` throws, ENGINE_NOT_INSTALLED, QUEUE_FULL, SHUTTING_DOWN
 */
export async function submit(
  context: RunContext,
  scheduler: Scheduler,
  request: JobRequest,
  sender: string | null,
  keptId: string | null = null,
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
    request_id: keptId ?? context.newId(),
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
  const make = () => create(context, run, env, keptId !== null);
  if (needsUpload) {
    await make();
    return { request_id: run.request_id, cache_hit: false, status: null };
  }
  const cached = await answerFromCache(context, run);
  if (cached) {
    await createAnswered(context, run, cached);
    return { request_id: run.request_id, cache_hit: true, status: "succeeded" };
  }
  const reservation = await scheduler.reserve(run);
  try {
    await make();
  } catch (error) {
    reservation.release();
    throw error;
  }
  scheduler.start(run, reservation);
  return { request_id: run.request_id, cache_hit: false, status: "queued" };
}

/**
 * @param isKept whoever sends the request again asks for the same run
 * @throws RunTaken when another server has made it already
 * @throws PerhapsMade when nobody knows, and another server may answer with it by now
 */
async function create(
  context: RunContext,
  run: RunRecord,
  env: Record<string, string> | undefined,
  isKept: boolean,
): Promise<void> {
  try {
    await context.secrets.keep(run.request_id, env);
    await context.store.create(run);
  } catch (error) {
    // Made under the same key: it is not ours to take back.
    if (error instanceof RunTaken) throw error;
    if (isKept && context.store.isShared) throw new PerhapsMade(error);
    // Whatever was written of it: the caller is told that nothing was, and will send it again.
    await takeBack(context, run);
    throw error;
  }
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
