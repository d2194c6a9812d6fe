import type { Agent } from "../agents/index.ts";
import { RunnerError } from "../errors.ts";
import { type ExecutionMode, type Skill, validateInlineInput } from "../skills/index.ts";
import type { RunContext } from "./context.ts";
import { parseModel } from "./model.ts";
import { type RuntimeOptions, resolveOptions } from "./options.ts";

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

export interface CheckedRequest {
  /** Null for a temporary skill: it comes with the upload. */
  skill: Skill | null;
  model: ReturnType<typeof parseModel>;
  options: RuntimeOptions;
}

/**
 * Everything that can be wrong with a request, in the reference's order: skill, engine, model, options, mode, data.
 * @throws RunnerError SKILL_NOT_FOUND, SKILL_INVALID, ENGINE_NOT_FOUND, SKILL_ENGINE_UNSUPPORTED, MODEL_INVALID,
 *   OPTION_INVALID, SKILL_EXECUTION_MODE_UNSUPPORTED, INPUT_INVALID, PARAMETER_INVALID
 */
export async function checkRequest(context: RunContext, request: JobRequest): Promise<CheckedRequest> {
  const skill =
    request.skill_source === "temp_upload" ? checkTemporary(request) : await installed(context, request);
  const agent = context.engines.get(request.engine);
  if (skill !== null) checkEngine(skill, request.engine);
  const model = parseModel(request, agent.capabilities.efforts);
  if (skill === null) return { skill, model, options: resolveOptions({}, request.runtime_options) };
  const options = checkFit(context, skill, request);
  return { skill, model, options };
}

/**
 * Whether a skill can be run as asked: its engines and modes, its input and parameters.
 * @throws RunnerError SKILL_INVALID, SKILL_ENGINE_UNSUPPORTED, OPTION_INVALID, SKILL_EXECUTION_MODE_UNSUPPORTED,
 *   INPUT_INVALID, PARAMETER_INVALID
 */
export function checkFit(
  context: RunContext,
  skill: Skill,
  request: Pick<JobRequest, "engine" | "runtime_options" | "input" | "parameter">,
): RuntimeOptions {
  assertUsable(skill);
  checkEngine(skill, request.engine);
  const options = resolveOptions(skill.manifest.runtime?.default_options ?? {}, request.runtime_options);
  checkMode(skill, context.engines.get(request.engine), options.execution_mode);
  checkData(context, skill, request);
  return options;
}

function checkTemporary({ skill_id }: JobRequest): null {
  if (skill_id === null) return null;
  throw new RunnerError("REQUEST_INVALID", "A temporary skill has no skill_id: its package says it.", {
    issues: [{ pointer: "/skill_id", message: "must be left out; the package comes with the upload" }],
  });
}

async function installed(context: RunContext, request: JobRequest): Promise<Skill> {
  if (request.skill_id === null) {
    throw new RunnerError("REQUEST_INVALID", "skill_id is missing.", {
      issues: [{ pointer: "/skill_id", message: "is required; GET /v1/skills lists what there is" }],
    });
  }
  const skill = await context.skills.get(request.skill_id);
  assertUsable(skill);
  return skill;
}

function assertUsable(skill: Skill): void {
  if (skill.errors.length === 0) return;
  throw new RunnerError(
    "SKILL_INVALID",
    `The package of skill "${skill.id}" is broken and cannot run until it is mended.`,
    {
      issues: skill.errors,
    },
  );
}

function checkEngine(skill: Skill, engine: string): void {
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

function checkMode(skill: Skill, agent: Agent, mode: ExecutionMode): void {
  const modes = skill.manifest.execution_modes;
  const refuse = (message: string, issue: string) =>
    new RunnerError("SKILL_EXECUTION_MODE_UNSUPPORTED", message, {
      issues: [{ pointer: "/runtime_options/execution_mode", message: issue }],
    });
  if (!modes.includes(mode)) {
    const list = modes.join(", ") || "(none)";
    throw refuse(
      `Skill "${skill.id}" does not run in ${mode} mode. It runs in: ${list}.`,
      `must be one of: ${list}`,
    );
  }
  if (mode === "interactive" && !agent.capabilities.resume) {
    throw refuse(
      `The ${agent.id} CLI cannot go on with a session, so nobody could answer its questions.`,
      "take auto, or another engine",
    );
  }
}

function checkData(
  context: RunContext,
  skill: Skill,
  request: Pick<JobRequest, "input" | "parameter">,
): void {
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
