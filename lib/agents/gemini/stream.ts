import { stripVTControlCharacters } from "node:util";
import { z } from "zod";
import { parseJson } from "../../json.ts";
import type { StreamReader } from "../agent.ts";
import type { AgentEvent, FailureKind } from "../events.ts";

const count = z.number().catch(0);
const stats = z.object({
  total_tokens: count,
  input_tokens: count,
  output_tokens: count,
  cached: count,
});

/** The lines of `gemini -o stream-json` that we read, as printed by gemini 0.61. */
const line = z.discriminatedUnion("type", [
  z.object({ type: z.literal("init"), session_id: z.string() }),
  z.object({
    type: z.literal("message"),
    role: z.string(),
    content: z.string(),
    delta: z.boolean().catch(false),
  }),
  z.object({
    type: z.literal("tool_use"),
    tool_name: z.string(),
    tool_id: z.string(),
    parameters: z.unknown(),
  }),
  z.object({
    type: z.literal("tool_result"),
    tool_id: z.string(),
    status: z.string(),
    output: z.string().optional().catch(undefined),
    error: z.object({ message: z.string() }).optional().catch(undefined),
  }),
  z.object({ type: z.literal("error"), message: z.string() }),
  z.object({
    type: z.literal("result"),
    status: z.string(),
    error: z.object({ type: z.string().catch(""), message: z.string() }).optional(),
    stats: stats.optional().catch(undefined),
  }),
]);
type Line = z.infer<typeof line>;

/** Reads the stdout of `gemini -o stream-json`. */
export function readGemini(): StreamReader {
  let lastError = "The model gave no usable answer.";
  return {
    line(text) {
      if (!text.startsWith("{")) return [];
      const parsed = line.safeParse(parseJson(text));
      if (!parsed.success) return [];
      if (parsed.data.type === "error") lastError = parsed.data.message;
      return eventsOf(parsed.data, lastError);
    },
  };
}

/** Finds the reason of a failure in what gemini left on stderr before its stream began, or null. */
export function explainGeminiStderr(coloured: string): AgentEvent | null {
  const stderr = stripVTControlCharacters(coloured);
  const session = /^Error resuming session: ([^\n]+)/m.exec(stderr);
  if (session?.[1]) return { type: "failure", kind: "session", message: session[1] };
  const auth = signInReasons.map((reason) => reason.exec(stderr)?.[0]).find((found) => found !== undefined);
  if (auth !== undefined) return { type: "failure", kind: "auth", message: auth };
  const error = /An unexpected critical error occurred:\s*([^\n]+)|^(Error in [^\n]+)/m.exec(stderr);
  const message = error?.[1] ?? error?.[2];
  return message === undefined ? null : { type: "failure", kind: kindOf("", message), message };
}

/** What gemini says, with exit code 41, when it cannot sign in at all. */
const signInReasons = [
  /Invalid auth method selected\./,
  /Please set an Auth method in your [^\n]+/,
  /When using (?:Gemini API|Vertex AI), you must specify[^\n]+/,
  /Manual authorization is required[^\n]+/,
  /The enforced authentication type is [^\n]+/,
  /(?<=^Error authenticating: )[^\n]+/m,
];

function eventsOf(event: Line, lastError: string): AgentEvent[] {
  switch (event.type) {
    case "init":
      return [{ type: "session", sessionId: event.session_id }, { type: "turn_started" }];
    case "message":
      return event.role === "assistant" ? [{ type: "message", text: event.content, delta: event.delta }] : [];
    case "tool_use":
      return [{ type: "tool_call", callId: event.tool_id, ...toolCall(event) }];
    case "tool_result":
      return [
        {
          type: "tool_result",
          callId: event.tool_id,
          tool: null,
          output: event.output ?? event.error?.message ?? "",
          // Gemini tells its model how a command ended, but not its reader.
          exitCode: null,
          failed: event.status !== "success",
        },
      ];
    case "error":
      return [{ type: "warning", message: event.message }];
    case "result":
      return [...usageOf(event.stats), outcomeOf(event, lastError)];
  }
}

function toolCall({ tool_name, parameters }: Line & { type: "tool_use" }): { tool: string; input: unknown } {
  if (tool_name !== "run_shell_command") return { tool: tool_name, input: parameters ?? {} };
  const shell = z.object({ command: z.string() }).safeParse(parameters);
  return { tool: "shell", input: { command: shell.success ? shell.data.command : "" } };
}

/** Gemini counts from its start, also in a resumed session, and counts thoughts in the total only. */
function usageOf(told: z.infer<typeof stats> | undefined): AgentEvent[] {
  if (told === undefined || told.total_tokens === 0) return [];
  const output = Math.max(told.total_tokens - told.input_tokens, told.output_tokens);
  return [
    {
      type: "usage",
      scope: "step",
      usage: {
        input_tokens: told.input_tokens,
        cached_input_tokens: told.cached,
        output_tokens: output,
        reasoning_output_tokens: output - told.output_tokens,
        cost_usd: null,
      },
    },
  ];
}

function outcomeOf({ status, error }: Line & { type: "result" }, lastError: string): AgentEvent {
  if (status === "success") return { type: "turn_completed" };
  // An answer that could not be used ends without an `error` of its own, and with exit code 0.
  if (error === undefined) return { type: "failure", kind: "model", message: lastError };
  return { type: "failure", kind: kindOf(error.type, error.message), message: plain(error.message) };
}

/** The vendor's own sentence out of `[API Error: {"error":{"message":...}}]`. */
function plain(message: string): string {
  const inner = /^\[API Error: (.*?)\]?$/s.exec(message)?.[1] ?? message;
  const body = z
    .object({ error: z.object({ code: z.number(), message: z.string() }) })
    .safeParse(parseJson(inner));
  return body.success ? `${body.data.error.message} (status ${body.data.error.code})` : inner;
}

function kindOf(type: string, message: string): FailureKind {
  if (/Authentication/.test(type) || authFailure.test(message)) return "auth";
  if (/\[API Error|fetch failed|quota|"code":\s*[45]\d\d|model/i.test(message)) return "model";
  return "other";
}

/** Google refuses a wrong key with a 400, one that may not be used with a 403, and one it does not know with a 401. */
const authFailure =
  /"code":\s*40[13]\b|UNAUTHENTICATED|PERMISSION_DENIED|API_KEY_INVALID|API key (?:not valid|expired)|invalid_grant/i;
