import type { StreamReader } from "../agent.ts";
import type { ResultLine } from "../anthropic-lines.ts";
import { failure, type LastMessage, readAnthropicStream } from "../anthropic-stream.ts";
import type { AgentEvent, FailureKind } from "../events.ts";

/** Reads the stdout of `claude -p --output-format stream-json --verbose`. */
export function readClaude(): StreamReader {
  return readAnthropicStream({
    shellTool: "Bash",
    structuredTool: "StructuredOutput",
    exitCode(output, failed) {
      const told = /^Exit code (\d+)/.exec(output)?.[1];
      if (told !== undefined && failed) return Number(told);
      return failed ? null : 0;
    },
    counts: "turn",
    inputHoldsCached: false,
    judge,
  });
}

/** Finds the reason of a failure in what claude left on stderr, or null. */
export function explainClaudeStderr(stderr: string): AgentEvent | null {
  const session = unknownSession.exec(stderr);
  if (session) return failure("session", session[0]);
  const root = /^--dangerously-skip-permissions cannot be used[^\n]*/m.exec(stderr);
  const reason = root?.[0] ?? /^(?:error|Error): ?([^\n]+)/m.exec(stderr)?.[1];
  return reason === undefined ? null : failure("other", reason);
}

const unknownSession =
  /No conversation found with session ID[^\n]*|--resume requires a valid session ID[^\n]*/;

function judge(result: ResultLine, last: LastMessage | null, structured: unknown): AgentEvent {
  const text = result.result ?? result.errors.join("\n");
  // The model's data did not fit the schema, five times: the answer is there, and a repair turn can ask for a better one.
  if (result.subtype === "error_max_structured_output_retries" && structured !== undefined) {
    return { type: "turn_completed", structured, exitCode: 1 };
  }
  // `subtype` says "success" for a refused sign-in too.
  if (result.is_error) return failure(kindOf(result, last, text), text === "" ? result.subtype : text);
  // claude answers by itself what never reaches a model, such as a command it does not know.
  if (last?.model === "<synthetic>" && last.text === text) return failure("other", text);
  return { type: "turn_completed", text, structured: result.structured_output };
}

function kindOf(result: ResultLine, last: LastMessage | null, text: string): FailureKind {
  const status = result.api_error_status;
  if (last?.error === "authentication_failed" || status === 401 || status === 403 || noLogin.test(text)) {
    return "auth";
  }
  if (unknownSession.test(text)) return "session";
  return (status ?? null) !== null || (last?.error ?? null) !== null || text.startsWith("API Error")
    ? "model"
    : "other";
}

const noLogin =
  /^(Not logged in|Invalid API key|Failed to authenticate|OAuth token|Login expired)|Please run \/login/;
