import type { AgentEvent, FailureKind, Usage } from "./events.ts";

/** What a turn's stream has told so far. */
export interface TurnSummary {
  sessionId: string | null;
  /** The last assistant message: the answer, when the turn completes. */
  finalText: string;
  structured: unknown;
  usage: Usage | null;
  /** What `usage` counts since: a CLI that resumes a session may count the whole of it, or this turn alone. */
  usageSince: "session" | "turn";
  failure: { kind: FailureKind; message: string } | null;
  completed: boolean;
  /** What the CLI said it would end with; 0 when it said nothing. */
  exitCode: number;
}

/** Longest answer that is kept, in UTF-16 units: a CLI that never stops talking costs this much memory. */
const maxAnswerLength = 16 * 1024 * 1024;

/** Longest reason of a failure, which goes into the job's record. */
const maxReasonLength = 4_000;

/** Folds the events of one turn. `add` returns nothing; `summary` is live. */
export function createTurnSummary(): { summary: TurnSummary; add(event: AgentEvent): void } {
  const summary: TurnSummary = {
    sessionId: null,
    finalText: "",
    structured: undefined,
    usage: null,
    usageSince: "turn",
    failure: null,
    completed: false,
    exitCode: 0,
  };
  let messageOpen = false;
  let cut = false;
  const hear = (text: string) => {
    summary.finalText = text;
    cut = text.length > maxAnswerLength;
    if (!cut) return;
    summary.finalText = text.slice(0, maxAnswerLength);
    const message = `The answer is longer than ${maxAnswerLength} characters.`;
    summary.failure ??= { kind: "other", message };
  };
  const hearMore = (text: string) => {
    // It has failed already: to add to it and cut it again with every word would take all of the server's time.
    if (!cut) hear(summary.finalText + text);
  };
  return {
    summary,
    add(event) {
      if (event.type === "message") {
        if (event.delta && messageOpen) hearMore(event.text);
        else hear(event.text);
        messageOpen = true;
        return;
      }
      if (event.type !== "usage") messageOpen = false;
      if (event.type === "session") summary.sessionId = event.sessionId;
      if (event.type === "usage" && event.scope === "total") {
        summary.usage = event.usage;
        summary.usageSince = "session";
      }
      if (event.type === "usage" && event.scope === "step")
        summary.usage = addUsage(summary.usage, event.usage);
      if (event.type === "failure") {
        summary.failure = { kind: event.kind, message: event.message.slice(0, maxReasonLength) };
      }
      if (event.type === "turn_completed") {
        summary.completed = true;
        summary.structured = event.structured;
        summary.exitCode = event.exitCode ?? 0;
        if (event.text !== undefined) hear(event.text);
      }
    },
  };
}

/** What was counted before and what came to it. */
export function addUsage(before: Usage | null, now: Usage): Usage {
  if (before === null) return now;
  return {
    input_tokens: before.input_tokens + now.input_tokens,
    cached_input_tokens: before.cached_input_tokens + now.cached_input_tokens,
    output_tokens: before.output_tokens + now.output_tokens,
    reasoning_output_tokens: before.reasoning_output_tokens + now.reasoning_output_tokens,
    cost_usd:
      before.cost_usd === null && now.cost_usd === null ? null : (before.cost_usd ?? 0) + (now.cost_usd ?? 0),
  };
}
