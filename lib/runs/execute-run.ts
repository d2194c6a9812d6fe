import { isAbsolute, join } from "node:path";
import type { Agent } from "../agents/index.ts";
import { RunnerError } from "../errors.ts";
import { buildPrompt, buildRepairPrompt, type Skill, splitInputs, toStrictSchema } from "../skills/index.ts";
import { attemptTurn } from "./attempt-turn.ts";
import type { RunContext } from "./context.ts";
import { type Convergence, converge } from "./converge.ts";
import { judgeTurn } from "./judge.ts";
import type { RunError, RunRecord } from "./record.ts";
import type { RunProgress } from "./run-progress.ts";
import { emptyResult, type RunResult } from "./run-result.ts";
import { RunStopped } from "./stop-reason.ts";
import type { TurnOutcome } from "./turn.ts";
import { prepareWorkspace } from "./workspace.ts";

/** A job that starts at once was checked a moment ago: what was seen then holds for it. */
const fresh = { maxAgeMs: 500 };

/**
 * Runs an attempt from its workspace to its result: first turn, then as many repair turns in the same session as the
 * answer needs and the settings allow. Never rejects for what the agent did; rejects when the server's own parts fail.
 * @param stop aborts with a RunStopped; `stop.abort` is also used here, for timeouts and refused sign-ins
 */
export async function executeRun(
  context: RunContext,
  progress: RunProgress,
  stop: AbortController,
): Promise<RunResult> {
  const timeout = hardTimeout(progress.run, context, stop);
  try {
    return await carryOut(context, progress, stop);
  } finally {
    clearTimeout(timeout);
  }
}

async function carryOut(
  context: RunContext,
  progress: RunProgress,
  stop: AbortController,
): Promise<RunResult> {
  const { run, paths } = progress;
  const skill = await context.skills.get(run.skill_id, fresh);
  if (skill.errors.length > 0)
    return fail({ code: "SKILL_INVALID", message: "The skill was broken after the job was accepted." });
  const agent = context.engines.get(run.engine);
  const installation = await context.engines.installed(run.engine, fresh);
  progress.note({ cli_version: installation.version, skill_hash: skill.hash });

  if (context.sandbox === "workspace-write" && installation.sandbox === "fails") {
    progress.warn(
      "SANDBOX_UNAVAILABLE",
      `The sandbox of ${agent.id} does not work on this machine: its tools ran without.`,
    );
  }

  await prepareWorkspace(paths, { skill, agent, mode: run.runtime_options.execution_mode });
  const strict =
    agent.capabilities.outputSchema && skill.schemas.output ? toStrictSchema(skill.schemas.output) : null;
  let prompt = firstPrompt(skill, agent, run, paths.workspace);
  for (let repairs = 0; ; repairs++) {
    const asked = progress.run.session_id;
    const outcome = await attemptTurn(context, progress, {
      skill,
      agent,
      installation,
      strict,
      prompt,
      stop,
    });
    const failure = judgeTurn(outcome, stop.signal, agent.id, asked);
    if (failure) return stopped(failure);
    const answer = await converge(skill, context.validators, paths, outcome.summary);
    if (answer.issues.length === 0) return succeed(progress, answer, outcome, repairs);
    const verdict = repairVerdict(repairs, context.settings.maxRepairTurns, progress.run.session_id, agent);
    if (verdict !== null) return fail({ ...verdict, issues: answer.issues });
    progress.tell("diagnostic.output_repair.started", { round: repairs + 1, issues: answer.issues });
    prompt = buildRepairPrompt(answer.issues, skill.schemas.output);
  }
}

function firstPrompt(skill: Skill, agent: Agent, run: RunRecord, workspace: string): string {
  const files = new Set(splitInputs(skill).file.map((input) => input.name));
  const input = Object.fromEntries(
    Object.entries(run.input).map(([name, value]) =>
      files.has(name) && typeof value === "string" && !isAbsolute(value)
        ? [name, join(workspace, "uploads", value)]
        : [name, value],
    ),
  );
  return buildPrompt({
    skill,
    engine: agent.id,
    invokeLine: agent.invokeLine(skill.id),
    input,
    parameter: run.parameter,
    runDir: workspace,
    ...(run.runtime_options.preamble_prompt === undefined
      ? {}
      : { preamble: run.runtime_options.preamble_prompt }),
  });
}

function hardTimeout(run: RunRecord, context: RunContext, stop: AbortController): NodeJS.Timeout {
  const seconds = run.runtime_options.hard_timeout_seconds ?? context.settings.hardTimeoutSeconds;
  return setTimeout(
    () => stop.abort(new RunStopped("timeout", `The run was ended after its hard timeout of ${seconds} s.`)),
    seconds * 1000,
  );
}

/** Null when another turn may mend the answer; otherwise why not. */
function repairVerdict(
  repairs: number,
  most: number,
  sessionId: string | null,
  agent: Agent,
): RunError | null {
  if (!agent.capabilities.resume || sessionId === null) {
    return {
      code: "OUTPUT_SCHEMA_REPAIR_SKIPPED_NO_SESSION_HANDLE",
      message: "The answer does not fit the output schema, and there is no session to ask again in.",
    };
  }
  if (repairs < most) return null;
  return {
    code: "OUTPUT_SCHEMA_REPAIR_EXHAUSTED",
    message: `The answer still does not fit the output schema after ${repairs} repair turns.`,
  };
}

function succeed(
  progress: RunProgress,
  answer: Convergence,
  outcome: TurnOutcome,
  repairs: number,
): RunResult {
  progress.tell("assistant.message.final", { text: outcome.summary.finalText });
  if (repairs > 0)
    progress.warn(
      "OUTPUT_SCHEMA_REPAIR_CONVERGED",
      `The answer fitted its schema after ${repairs} repair turn(s).`,
    );
  if (answer.fromFile !== null)
    progress.warn("OUTPUT_FROM_FILE", `The answer was read from ${answer.fromFile}.`);
  return {
    status: "success",
    data: answer.data,
    artifacts: answer.artifacts.map((artifact) => artifact.path),
    artifact_details: answer.artifacts,
    validation_warnings: progress.run.warnings,
    error: null,
    repair_level: answer.repair,
  };
}

function stopped(error: RunError): RunResult {
  return error.code === "CANCELED_BY_USER" ? emptyResult("canceled", error) : fail(error);
}

function fail(error: RunError): RunResult {
  return emptyResult("failed", error);
}

/** What a run failed of when the server's own part threw. */
export function internalFailure(error: unknown): RunError {
  if (error instanceof RunnerError) return { code: error.code, message: error.message };
  return { code: "ORCHESTRATOR_ERROR", message: "The server could not carry out the run. Its log says why." };
}
