import type { FailureKind } from "../agents/index.ts";
import type { RunError } from "./record.ts";
import { RunStopped } from "./stop-reason.ts";
import type { TurnOutcome } from "./turn.ts";

const codes: Readonly<Record<FailureKind, string>> = {
  auth: "AUTH_REQUIRED",
  model: "MODEL_ERROR",
  session: "SESSION_RESUME_FAILED",
  other: "AGENT_FAILED",
};

/**
 * Whether a turn failed, and why. The stream is believed first, then the exit code: there are CLIs that exit with 0
 * after a failure and CLIs that print an error and succeed.
 * @param askedSession the session the turn was to go on with, or null
 */
export function judgeTurn(
  outcome: TurnOutcome,
  signal: AbortSignal,
  engine: string,
  askedSession: string | null,
): RunError | null {
  const { summary } = outcome;
  if (signal.aborted) return stopError(signal.reason, engine);
  if (outcome.spawnError !== null) {
    return {
      code: "ENGINE_START_FAILED",
      message: `The ${engine} CLI could not be started (${outcome.spawnError}).`,
    };
  }
  // Codex quietly starts a new thread for an id it cannot read: such an answer knows nothing of the run.
  if (askedSession !== null && summary.sessionId !== null && summary.sessionId !== askedSession) {
    return {
      code: "SESSION_RESUME_FAILED",
      message: `The ${engine} CLI did not go on with the run's session.`,
    };
  }
  if (summary.failure) {
    const advice =
      summary.failure.kind === "auth"
        ? ` Log in to ${engine}, or give it a valid key, and send the job again.`
        : "";
    return { code: codes[summary.failure.kind], message: `${summary.failure.message}${advice}` };
  }
  if (outcome.exitCode !== 0 && outcome.exitCode !== summary.exitCode) {
    const how = outcome.signal === null ? `with code ${outcome.exitCode}` : `by ${outcome.signal}`;
    return {
      code: "PROCESS_EXIT_NONZERO",
      message: `The ${engine} CLI ended ${how} before it gave an answer. See the job's logs.`,
    };
  }
  if (!summary.completed) {
    return {
      code: "AGENT_OUTPUT_MISSING",
      message: `The ${engine} CLI ended without an answer. See the job's logs.`,
    };
  }
  return null;
}

/** What a run that was stopped from outside is told to have failed of. */
export function stopError(reason: unknown, engine: string): RunError {
  if (!(reason instanceof RunStopped)) return { code: "ORCHESTRATOR_ERROR", message: "The run was stopped." };
  switch (reason.kind) {
    case "cancel":
      return { code: "CANCELED_BY_USER", message: reason.message };
    case "timeout":
      return { code: "TIMEOUT", message: reason.message };
    case "stalled":
      return { code: "AGENT_STALLED", message: reason.message };
    case "shutdown":
    case "lost":
      return { code: "ORCHESTRATOR_RESTART_INTERRUPTED", message: reason.message };
    case "auth":
      return {
        code: "AUTH_REQUIRED",
        message: `${reason.message} Log in to ${engine}, or give it a valid key, and send the job again.`,
      };
  }
}
