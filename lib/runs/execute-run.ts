import type { Agent, Installation } from "../agents/index.ts";
import { RunnerError } from "../errors.ts";
import { buildContinuePrompt, buildRepairPrompt, toStrictSchema } from "../skills/index.ts";
import { mediumFailure } from "../storage/index.ts";
import { shown } from "./agent-events.ts";
import { ask, questionIn } from "./ask.ts";
import { attemptTurn } from "./attempt-turn.ts";
import type { PendingAuth } from "./auth-challenge.ts";
import type { RunContext } from "./context.ts";
import { type Convergence, converge, readAnswer } from "./converge.ts";
import { firstPrompt } from "./first-prompt.ts";
import type { PendingInteraction } from "./interaction.ts";
import type { Interruption } from "./interruption.ts";
import { judgeTurn } from "./judge.ts";
import { doneMarker } from "./question.ts";
import type { Resume, RunError, RunRecord } from "./record.ts";
import type { RunProgress } from "./run-progress.ts";
import { emptyResult, type RunResult } from "./run-result.ts";
import { fresh, goesOn, layOut } from "./run-skill.ts";
import { askForLogin, credentialsOf } from "./sign-in.ts";
import { RunStopped } from "./stop-reason.ts";
import type { TurnOutcome } from "./turn.ts";
import { authWaitSeconds } from "./wait-times.ts";

/** How an attempt ended: with a result, with something the run has to wait for, or cut short by the server's stop. */
export type RunEnd =
  | { kind: "ended"; result: RunResult }
  | { kind: "asks"; pending: PendingInteraction }
  /** `credentials`: what the agent's logins looked like before it was refused. */
  | { kind: "needs_login"; pending: PendingAuth; resume: Resume; credentials: string | null }
  | { kind: "interrupted"; cause: Interruption["cause"] };

/**
 * Runs an attempt from its workspace to its end: first turn, then as many repair turns in the same session as the
 * answer needs and the settings allow. Never rejects for what the agent did; rejects when the server's own parts fail.
 * @param stop aborts with a RunStopped; `stop.abort` is also used here, for timeouts and refused sign-ins
 */
export async function executeRun(
  context: RunContext,
  progress: RunProgress,
  stop: AbortController,
): Promise<RunEnd> {
  const timeout = hardTimeout(progress.run, context, stop);
  try {
    return await carryOut(context, progress, stop);
  } finally {
    clearTimeout(timeout);
  }
}

async function carryOut(context: RunContext, progress: RunProgress, stop: AbortController): Promise<RunEnd> {
  const { paths } = progress;
  const agent = context.engines.get(progress.run.engine);
  const installation = await context.engines.installed(agent.id, fresh);
  await context.engines.assertSandboxed();
  beginAnewElsewhere(progress, installation);
  const { run } = progress;
  const { skill, config } = await layOut(context, run, paths, agent);
  if (skill.errors.length > 0)
    return fail({ code: "SKILL_INVALID", message: "The skill was broken after the job was accepted." });
  if (goesOn(run) && skill.hash !== run.skill_hash)
    return fail({
      code: "SKILL_REPLACED",
      message:
        "The skill was replaced while the job was cut off, in the middle of its work. Send the job again.",
    });
  const { execution_mode: mode } = run.runtime_options;
  progress.note({
    cli_version: installation.version,
    skill_hash: skill.hash,
    session_id: run.resume?.session_id ?? null,
  });

  const strict =
    mode === "auto" && agent.capabilities.outputSchema && skill.schemas.output
      ? toStrictSchema(skill.schemas.output)
      : null;
  let prompt = run.resume?.prompt ?? firstPrompt(skill, agent, run, paths.workspace);
  for (let repairs = 0; ; repairs++) {
    const asked = progress.run.session_id;
    const mayWait = authWaitSeconds(context, run) > 0;
    // Before the turn: a login that somebody makes while it is refused is news.
    const credentials = mayWait ? await credentialsOf(context, run) : null;
    const outcome = await attemptTurn(context, progress, {
      skill,
      config,
      agent,
      installation,
      strict,
      prompt,
      stop,
    });
    const failure = judgeTurn(outcome, stop.signal, agent.id, asked);
    if (failure?.code === "AUTH_REQUIRED" && mayWait) {
      const again = outcome.worked
        ? { session_id: progress.run.session_id, prompt: buildContinuePrompt() }
        : { session_id: asked, prompt: asked === null ? null : prompt };
      const pending = askForLogin(context, progress.run, agent, installation, failure.message);
      const resume: Resume = { cause: "auth", reply: null, auth: null, ...again };
      // A CLI may write the file of its own login while it is refused: that counts as news once, not for ever.
      const seen = run.resume?.cause === "auth" ? await credentialsOf(context, run) : credentials;
      return { kind: "needs_login", pending, resume, credentials: seen };
    }
    if (failure) return stopped(failure, stop.signal);
    const question = mode === "interactive" ? questionIn(outcome) : null;
    if (question !== null) {
      const asked = ask(context, progress.run, agent, skill, question);
      return "error" in asked ? fail(asked.error) : { kind: "asks", pending: asked.pending };
    }
    const answer = await converge(skill, context.validators, paths, outcome);
    if (answer.issues.length === 0) return succeed(progress, answer, outcome, repairs);
    const verdict = repairVerdict(repairs, context.settings.maxRepairTurns, progress.run.session_id, agent);
    if (verdict !== null) return fail({ ...verdict, issues: answer.issues });
    progress.tell({
      type: "assistant.message.superseded",
      data: { reason: "The answer does not fit the output schema." },
    });
    progress.tell({
      type: "diagnostic.output_repair.started",
      data: { round: repairs + 1, issues: answer.issues },
    });
    prompt = buildRepairPrompt(answer.issues, skill.schemas.output);
  }
}

/** A session that was begun in the sandbox lies there, and one that was begun without it does not: the other has none to go on with. */
function beginAnewElsewhere(progress: RunProgress, { jailed }: Installation): void {
  if (!goesOn(progress.run) || progress.run.session_in_folder === jailed) return;
  progress.note({ resume: null, session_id: null });
  const how = jailed ? "The sandbox is on" : "The sandbox is off";
  progress.warn("BEGUN_ANEW", `${how}, unlike when the agent's session was begun: the work was begun anew.`);
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

function succeed(progress: RunProgress, answer: Convergence, outcome: TurnOutcome, repairs: number): RunEnd {
  progress.tell({ type: "assistant.message.final", data: shown(outcome.summary.finalText) });
  if (repairs > 0)
    progress.warn(
      "OUTPUT_SCHEMA_REPAIR_CONVERGED",
      `The answer fitted its schema after ${repairs} repair turn(s).`,
    );
  if (answer.fromFile !== null)
    progress.warn("OUTPUT_FROM_FILE", `The answer was read from ${answer.fromFile}.`);
  if (answer.unnamed > 0)
    progress.warn(
      "ARTIFACT_NAME_SECRET",
      `${answer.unnamed} file(s) are not among the artifacts: there is a key in their names.`,
    );
  const interactive = progress.run.runtime_options.execution_mode === "interactive";
  if (interactive && readAnswer(outcome)?.value[doneMarker] !== true)
    progress.warn(
      "INTERACTIVE_COMPLETED_WITHOUT_DONE_MARKER",
      `The answer fits its schema, but does not say "${doneMarker}": true.`,
    );
  const result: RunResult = {
    status: "success",
    data: answer.data,
    artifacts: answer.artifacts.map((artifact) => artifact.path),
    artifact_details: answer.artifacts,
    validation_warnings: progress.run.warnings,
    error: null,
    repair_level: answer.repair,
  };
  return { kind: "ended", result };
}

function stopped(error: RunError, { reason }: AbortSignal): RunEnd {
  if (reason instanceof RunStopped && reason.kind === "shutdown")
    return { kind: "interrupted", cause: "stop" };
  if (error.code !== "CANCELED_BY_USER") return fail(error);
  return { kind: "ended", result: emptyResult("canceled", error) };
}

function fail(error: RunError): RunEnd {
  return { kind: "ended", result: emptyResult("failed", error) };
}

/** What a run failed of when the server's own part threw. */
export function internalFailure(error: unknown): RunError {
  if (error instanceof RunnerError) return { code: error.code, message: error.message };
  const lacking = mediumFailure(error);
  if (lacking !== null) {
    const message = `The server's disk or its limits did not allow the run to be carried out (${lacking}). Send the job again when there is room.`;
    return { code: "STORAGE_FAILED", message };
  }
  return { code: "ORCHESTRATOR_ERROR", message: "The server could not carry out the run. Its log says why." };
}
