import { RunnerError } from "../errors.ts";
import { type Skill, validateInlineInput } from "../skills/index.ts";
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
  skill: Skill;
  model: ReturnType<typeof parseModel>;
  options: RuntimeOptions;
}

/**
 * Everything that can be wrong with a request, in the reference's order: skill, engine, model, options, mode, data.
 * @throws RunnerError SKILL_NOT_FOUND, SKILL_INVALID, ENGINE_NOT_FOUND, SKILL_ENGINE_UNSUPPORTED, MODEL_INVALID,
 *   OPTION_INVALID, SKILL_EXECUTION_MODE_UNSUPPORTED, INPUT_INVALID, PARAMETER_INVALID
 */
export async function checkRequest(context: RunContext, request: JobRequest): Promise<CheckedRequest> {
  const skill = await usableSkill(context, request);
  checkEngine(context, skill, request.engine);
  const model = parseModel(request, context.engines.get(request.engine).capabilities.efforts);
  const options = resolveOptions(skill.manifest.runtime?.default_options ?? {}, request.runtime_options);
  checkMode(skill, options.execution_mode);
  checkData(context, skill, request);
  return { skill, model, options };
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
