import { z } from "zod";
import { parseJson } from "../../json.ts";
import type { StreamReader } from "../agent.ts";
import type { AgentEvent, FailureKind } from "../events.ts";
import { saysUnauthorized } from "../unauthorized.ts";

const count = z.number().catch(0);
/** What iflow tells of a turn at its end, between `<Execution Info>` tags and in the file of `--output-file`. */
const executionInfo = z.object({
  "session-id": z.string().min(1),
  terminationReason: z.string().optional().catch(undefined),
  tokenUsage: z.object({ input: count, output: count }).optional().catch(undefined),
});
type ExecutionInfo = z.infer<typeof executionInfo>;

const opening = "<Execution Info>";
const closing = "</Execution Info>";
/** Longest execution info that is kept, in lines: it has about ten. */
const maxInfoLines = 100;
/** What iflow prints before each call of such a model; the words of the call before end without a line end. */
const noise = /Model \S+ does not support thinking mode$/;

/**
 * Reads the stdout of `iflow`: the words of the model, of all its calls in a row, without a word about tools.
 * @param readInfoFile the content of the file given as `--output-file`, or null when there is none; asked when stdout
 * has ended, as iflow 0.5.19 tells the execution info in this file and on stderr only
 */
export function readIflow(readInfoFile: () => string | null): StreamReader {
  const info: string[] = [];
  let inInfo = false;
  let said = false;
  let blankLines = 0;
  return {
    line(raw) {
      const text = raw.replace(noise, "");
      const trimmed = text.trim();
      if (trimmed === opening) {
        inInfo = true;
        info.length = 0;
        return [];
      }
      if (trimmed === closing) inInfo = false;
      else if (inInfo && info.length < maxInfoLines) info.push(text);
      if (inInfo || trimmed === closing) return [];
      if (trimmed === "") {
        if (text === raw) blankLines += 1;
        return [];
      }
      const before = said ? "\n".repeat(blankLines + 1) : "";
      const event: AgentEvent = { type: "message", text: before + text, delta: said };
      said = true;
      blankLines = 0;
      return [event];
    },
    end() {
      const told = parseInfo(info.join("\n")) ?? parseInfo(readInfoFile() ?? "");
      return told === null ? [] : [...eventsOf(told), ...outcomeOf(told, said)];
    },
  };
}

/**
 * Finds the reason of a failure in what iflow left on stderr, or null: a turn without a word, or cut off after some,
 * still exits with 0. A good turn leaves its execution info there, notices, tools that failed and calls tried again.
 */
export function explainIflowStderr(stderr: string): AgentEvent | null {
  const told = stderr.replace(ordinary, "");
  const reason = reasons.map((pattern) => pattern.exec(told)).find((found) => found !== null);
  const message = reason?.[1] ?? reason?.[0];
  return message === undefined ? null : { type: "failure", kind: kindOf(message), message: message.trim() };
}

/** Lines that may hold an error's words although the turn went on. */
const ordinary = /^(?:Attempt \d+ failed\. Retrying|Error executing tool )[^\n]*/gm;

const reasons = [
  /^(?:Error: )?(Please set an Auth method[^\n]*)/im,
  /^(?:Error: )?(Auth method has been deprecated[^\n]*)/m,
  /^[^\n]*SERVER_OAUTH2_REQUIRED[^\n]*/m,
  // "The token has expired, sign in again": iflow speaks the user's language.
  /^[^\n]*(?:令牌已过期|token已过期|需要重新认证)[^\n]*/m,
  /^\[API Error: ([^\n]*?)\]\s*$/m,
  /^Error when talking to iFlow API[^\n]*?Error: ([^\n]+)/im,
  /^Error when talking to iFlow API[^\n]*/im,
  /^(?:Error: )?(generate data error: [^\n]+)/m,
  /^An unexpected critical error occurred:\s*([^\n]+)/m,
];

function eventsOf({ "session-id": sessionId, tokenUsage }: ExecutionInfo): AgentEvent[] {
  const session: AgentEvent = { type: "session", sessionId };
  if (tokenUsage === undefined) return [session];
  const usage = {
    input_tokens: tokenUsage.input,
    cached_input_tokens: 0,
    output_tokens: tokenUsage.output,
    reasoning_output_tokens: 0,
    cost_usd: null,
  };
  return [session, { type: "usage", scope: "step", usage }];
}

function outcomeOf({ terminationReason }: ExecutionInfo, said: boolean): AgentEvent[] {
  if (terminationReason !== undefined) {
    return [{ type: "failure", kind: "other", message: `iflow ended the turn early: ${terminationReason}` }];
  }
  // A call that failed leaves no words behind: stderr says why.
  return said ? [{ type: "turn_completed" }] : [];
}

function kindOf(message: string): FailureKind {
  if (saysUnauthorized(message) || authFailure.test(message)) return "auth";
  return /error|status|fetch failed/i.test(message) ? "model" : "other";
}

const authFailure =
  /status:? 403\b|(?:invalid|incorrect) api key|auth method|SERVER_OAUTH2_REQUIRED|已过期|重新认证/i;

function parseInfo(text: string): ExecutionInfo | null {
  return executionInfo.safeParse(parseJson(text)).data ?? null;
}
