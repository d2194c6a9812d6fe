import type { StreamReader } from "../agent.ts";
import type { ResultLine } from "../anthropic-lines.ts";
import { failure, type LastMessage, readAnthropicStream } from "../anthropic-stream.ts";
import type { AgentEvent } from "../events.ts";

/** Reads the stdout of `qwen -o stream-json`. */
export function readQwen(): StreamReader {
  return readAnthropicStream({
    shellTool: "run_shell_command",
    structuredTool: "structured_output",
    // The stream holds what the command printed; its exit code only when it printed nothing.
    exitCode: (output) => {
      const told = /^Command exited with code: (\d+)$|^Command: [\s\S]*\nExit Code: (\d+)\nSignal: /.exec(
        output,
      );
      return told === null ? null : Number(told[1] ?? told[2]);
    },
    counts: "session",
    inputHoldsCached: true,
    judge,
  });
}

/** Finds the reason of a failure in what qwen left on stderr, or null. */
export function explainQwenStderr(stderr: string): AgentEvent | null {
  const session = /^No saved session found[^\n]*/m.exec(stderr);
  if (session) return failure("session", session[0]);
  const reason =
    /^(?:error|Error): ?([^\n]+)/m.exec(stderr)?.[1] ?? /^\s*(Argument: [^\n]+)/m.exec(stderr)?.[1];
  return reason === undefined ? null : failedWith(reason);
}

function judge(result: ResultLine, last: LastMessage | null): AgentEvent {
  // Without an error in the stream's own words: an answer that only looks like one was counted by the model's API.
  const apiError = last === null ? null : apiErrorOf(last);
  if (apiError !== null) return failedWith(apiError, "model");
  if (!result.is_error) {
    return { type: "turn_completed", text: result.result ?? "", structured: result.structured_result };
  }
  const message = result.error?.message ?? result.subtype;
  if (last !== null && message.startsWith("Model produced plain text instead of calling")) {
    // There is an answer, if not by way of the tool; whether it will do is for the runner to say.
    return { type: "turn_completed", text: last.text, exitCode: 1 };
  }
  return failedWith(message);
}

/**
 * What the model API refused, when the message is no answer: qwen prints errors as if the model had said them, with
 * exit code 0. No tokens are counted for such a message.
 */
function apiErrorOf({ text, usage }: LastMessage): string | null {
  if (usage.input_tokens + usage.output_tokens > 0) return null;
  if (/^Qwen OAuth (quota exceeded|free tier has been discontinued)/.test(text)) return text;
  // It stands behind what the model had said by then; advice on rate limits may follow.
  return /\[API Error: ([\s\S]*)\](\n(Please wait|Possible quota)[^\n]*)?$/.exec(text)?.[1] ?? null;
}

function failedWith(message: string, otherwise: "model" | "other" = "other"): AgentEvent {
  return failure(signIn.test(message) ? "auth" : otherwise, message);
}

const signIn =
  /^401\b|unauthorized|(invalid|incorrect|missing) api.?key|no auth type is selected|qwen oauth|authentication (failed|required)|invalid_api_key/i;
