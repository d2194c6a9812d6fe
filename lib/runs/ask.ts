import type { Agent } from "../agents/index.ts";
import type { Skill } from "../skills/index.ts";
import type { RunContext } from "./context.ts";
import { readAnswer } from "./converge.ts";
import type { PendingInteraction } from "./interaction.ts";
import { openQuestion, type Question, readQuestion } from "./question.ts";
import type { RunError, RunRecord } from "./record.ts";
import type { TurnOutcome } from "./turn.ts";
import { autoReplySeconds } from "./wait-times.ts";

/** What an interactive turn asks: what it says to be a question, and any text that is no object. */
export function questionIn(outcome: TurnOutcome): Question | null {
  const answer = readAnswer(outcome);
  return answer === null ? openQuestion(outcome.summary.finalText) : readQuestion(answer.value);
}

/** Times a job's questions are left to its agent: one that asks for ever must not cost for ever. */
const mostDecisions = 10;

/** The question as the run waits with it, or why the run may not ask. */
export function ask(
  context: RunContext,
  run: RunRecord,
  agent: Agent,
  skill: Skill,
  question: Question,
): { pending: PendingInteraction } | { error: RunError } {
  const most = skill.manifest.max_attempt;
  // Attempts that a restart cut short do not count: the agent was not answered more often for them.
  const asked = run.interaction_count + 1;
  if (most !== null && asked >= most) {
    const error = {
      code: "INTERACTIVE_MAX_ATTEMPT_EXCEEDED",
      message: `The agent asked again in attempt ${asked}; the skill allows ${most}. It asked: ${question.prompt}`,
    };
    return { error };
  }
  if (run.auto_decision_count >= mostDecisions && autoReplySeconds(context, run) !== null) {
    const error = {
      code: "INTERACTIVE_MAX_ATTEMPT_EXCEEDED",
      message: `The agent asked again after it had been left to decide by itself ${mostDecisions} times. It asked: ${question.prompt}`,
    };
    return { error };
  }
  if (run.session_id === null || !agent.capabilities.resume) {
    const error = {
      code: "SESSION_RESUME_FAILED",
      message: `The agent asked a question, but the ${agent.id} CLI gave no session to answer in.`,
    };
    return { error };
  }
  const seconds = autoReplySeconds(context, run);
  const now = Date.now();
  const pending: PendingInteraction = {
    ...question,
    interaction_id: asked,
    default_decision_policy: "engine_judgement",
    source_attempt: run.attempt,
    created_at: new Date(now).toISOString(),
    expires_at: seconds === null ? null : new Date(now + seconds * 1000).toISOString(),
  };
  return { pending };
}
