import { access } from "node:fs/promises";
import { ulid } from "ulid";
import type { Reservation } from "../capacity/index.ts";
import { RunnerError } from "../errors.ts";
import { type Skill, splitInputs, validateInlineInput } from "../skills/index.ts";
import type { RunContext } from "./context.ts";
import { copyResult } from "./copy-result.ts";
import { parseModel } from "./model.ts";
import { resolveOptions } from "./options.ts";
import { runPaths } from "./paths.ts";
import type { RunRecord } from "./record.ts";
import { cacheKey } from "./result-cache.ts";
import { openRunProgress } from "./run-progress.ts";
import type { Scheduler } from "./scheduler.ts";
import { describeStateChange, stateChangedType } from "./state-change.ts";

/** What `POST /v1/jobs` asks for, as parsed. */
export interface JobRequest {
  skill_source: "installed" | "temp_upload";
  skill_id: string | null;
  engine: string;
  input: Record<string, unknown>;
  parameter: Record<string, unknown>;
  model: string | null;
  provider_id: string | null;
  effort: string | null;
  runtime_options: Record<string, unknown>;
  conversation_mode: "session" | "non_session";
}

export interface Accepted {
  request_id: string;
  cache_hit: boolean;
  /** Null while the job waits for its upload. */
  status: "queued" | "succeeded" | null;
}

/**
 * Checks a request and makes a job of it. Everything that can be refused is refused before anything is written; when
 * it resolves, the job is durable.
 * @throws RunnerError SKILL_NOT_FOUND, SKILL_INVALID, ENGINE_NOT_FOUND, SKILL_ENGINE_UNSUPPORTED, MODEL_INVALID,
 *   OPTION_INVALID, SKILL_EXECUTION_MODE_UNSUPPORTED, INPUT_INVALID, PARAMETER_INVALID, ENGINE_NOT_INSTALLED, QUEUE_FULL
 */
export async function submit(
  context: RunContext,
  scheduler: Scheduler,
  request: JobRequest,
): Promise<Accepted> {
  assertAccepting(context);
  const skill = await usableSkill(context, request);
  checkEngine(context, skill, request.engine);
  const agent = context.engines.get(request.engine);
  const model = parseModel(request, agent.capabilities.efforts);
  const { env, ...options } = resolveOptions(
    skill.manifest.runtime?.default_options ?? {},
    request.runtime_options,
  );
  checkMode(skill, options.execution_mode);
  checkData(context, skill, request);

  const now = new Date().toISOString();
  const needsUpload = splitInputs(skill).file.length > 0;
  const run: RunRecord = {
    request_id: ulid(),
    status: needsUpload ? "created" : "queued",
    skill_id: skill.id,
    skill_version: skill.manifest.version,
    skill_hash: skill.hash,
    skill_source: request.skill_source,
    engine: agent.id,
    ...model,
    input: request.input,
    parameter: request.parameter,
    runtime_options: options,
    conversation_mode: request.conversation_mode,
    needs_upload: needsUpload,
    uploads: [],
    created_at: now,
    updated_at: now,
    started_at: null,
    finished_at: null,
    attempt: 0,
    turns: 0,
    session_id: null,
    cli_version: null,
    usage: null,
    cache_hit: false,
    cached_from: null,
    warnings: [],
    error: null,
    recovery_state: "none",
    recovery_reason: null,
    recovered_at: null,
  };
  if (needsUpload) {
    await context.secrets.keep(run.request_id, env);
    await context.store.create(run);
    return { request_id: run.request_id, cache_hit: false, status: null };
  }
  const cached = await answerFromCache(context, run);
  if (cached) {
    await context.store.create(cached);
    return { request_id: run.request_id, cache_hit: true, status: "succeeded" };
  }
  const reservation = await reserve(context, agent.id);
  try {
    await context.secrets.keep(run.request_id, env);
    await context.store.create(run);
  } catch (error) {
    reservation.release();
    await context.secrets.forget(run.request_id);
    throw error;
  }
  scheduler.start(run, reservation);
  return { request_id: run.request_id, cache_hit: false, status: "queued" };
}

/** @throws RunnerError SHUTTING_DOWN */
export function assertAccepting(context: RunContext): void {
  if (context.accepting()) return;
  throw new RunnerError("SHUTTING_DOWN", "The server is shutting down. Send the request again in a moment.", {
    retryAfterSeconds: 5,
  });
}

/** A place in the queue, taken before anything is written: a refusal leaves nothing behind. */
export async function reserve(context: RunContext, engine: string): Promise<Reservation> {
  await context.engines.installed(engine);
  return context.gate.reserve();
}

/**
 * The run as already answered, its result and artifacts copied from the run that first gave them, or null. A copy, so
 * that each job can be deleted without harm to another.
 */
export async function answerFromCache(context: RunContext, run: RunRecord): Promise<RunRecord | null> {
  const key = cacheKey(run);
  const source = key === null ? null : await context.cache.lookup(key);
  if (key === null || source === null) return null;
  const from = runPaths(context.dataDir, source);
  const to = runPaths(context.dataDir, run.request_id);
  const known = await access(from.result).then(
    () => true,
    () => false,
  );
  if (!known || !(await copyResult(from, to))) {
    await context.cache.forget(key);
    return null;
  }
  const now = new Date().toISOString();
  const answered: RunRecord = {
    ...run,
    status: "succeeded",
    cache_hit: true,
    cached_from: source,
    updated_at: now,
    finished_at: now,
  };
  const progress = await openRunProgress(context.store, context.dataDir, answered);
  progress.tell(stateChangedType, describeStateChange(answered, run.status, "cache.hit"));
  await progress.close();
  return answered;
}

async function usableSkill(context: RunContext, request: JobRequest): Promise<Skill> {
  if (request.skill_source === "temp_upload") {
    throw new RunnerError(
      "OPTION_INVALID",
      "Temporary skills are not served by this version; install the skill into skills/.",
      {
        issues: [{ pointer: "/skill_source", message: 'use "installed"' }],
      },
    );
  }
  if (request.skill_id === null) {
    throw new RunnerError("REQUEST_INVALID", "skill_id is missing.", {
      issues: [{ pointer: "/skill_id", message: "is required; GET /v1/skills lists what there is" }],
    });
  }
  const skill = await context.skills.get(request.skill_id);
  if (skill.errors.length === 0) return skill;
  throw new RunnerError(
    "SKILL_INVALID",
    `The package of skill "${skill.id}" is broken and cannot run until it is mended.`,
    {
      issues: skill.errors,
    },
  );
}

function checkEngine(context: RunContext, skill: Skill, engine: string): void {
  context.engines.get(engine);
  if (skill.manifest.effective_engines.includes(engine)) return;
  throw new RunnerError(
    "SKILL_ENGINE_UNSUPPORTED",
    `Skill "${skill.id}" does not run on ${engine}. It runs on: ${skill.manifest.effective_engines.join(", ")}.`,
    {
      issues: [
        { pointer: "/engine", message: `must be one of: ${skill.manifest.effective_engines.join(", ")}` },
      ],
    },
  );
}

function checkMode(skill: Skill, mode: "auto" | "interactive"): void {
  const served = skill.manifest.execution_modes.filter((candidate) => candidate === "auto");
  if (mode === "auto" && served.length > 0) return;
  const advice = served.length > 0 ? "Use: auto." : "This version of the server runs jobs in auto mode only.";
  throw new RunnerError(
    "SKILL_EXECUTION_MODE_UNSUPPORTED",
    `Skill "${skill.id}" cannot run in ${mode} mode here. ${advice}`,
    {
      issues: [
        {
          pointer: "/runtime_options/execution_mode",
          message: `must be one of: ${served.join(", ") || "(none)"}`,
        },
      ],
    },
  );
}

function checkData(context: RunContext, skill: Skill, request: JobRequest): void {
  const inputIssues = validateInlineInput(context.validators, skill, request.input);
  if (inputIssues.length > 0) {
    const issues = inputIssues.map((issue) => ({ ...issue, pointer: `/input${issue.pointer}` }));
    throw new RunnerError("INPUT_INVALID", "The input does not fit the skill's input schema.", { issues });
  }
  const parameterIssues = context.validators.parameter(skill, request.parameter);
  if (parameterIssues.length > 0) {
    const issues = parameterIssues.map((issue) => ({ ...issue, pointer: `/parameter${issue.pointer}` }));
    throw new RunnerError("PARAMETER_INVALID", "The parameters do not fit the skill's parameter schema.", {
      issues,
    });
  }
}
