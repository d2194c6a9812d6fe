import { z } from "zod";
import { parseJson } from "../../json.ts";
import type { AgentEvent, FailureKind } from "../events.ts";
import { saysUnauthorized } from "../unauthorized.ts";

const item = z.object({
  id: z.string().catch(""),
  type: z.string(),
  text: z.string().optional(),
  message: z.string().optional(),
  command: z.string().optional(),
  aggregated_output: z.string().optional(),
  exit_code: z.number().nullish(),
  status: z.string().optional(),
  server: z.string().optional(),
  tool: z.string().optional(),
  query: z.string().optional(),
  arguments: z.unknown().optional(),
  changes: z.unknown().optional(),
  result: z.unknown().optional(),
});
type Item = z.infer<typeof item>;

const count = z.number().catch(0);
/** The lines of `codex exec --json` that we read, as printed by codex 0.169. */
const line = z.discriminatedUnion("type", [
  z.object({ type: z.literal("thread.started"), thread_id: z.string() }),
  z.object({ type: z.literal("turn.started") }),
  z.object({ type: z.literal("item.started"), item }),
  z.object({ type: z.literal("item.completed"), item }),
  z.object({
    type: z.literal("turn.completed"),
    usage: z.object({
      input_tokens: count,
      cached_input_tokens: count,
      output_tokens: count,
      reasoning_output_tokens: count,
    }),
  }),
  z.object({ type: z.literal("turn.failed"), error: z.object({ message: z.string() }) }),
  z.object({ type: z.literal("error"), message: z.string() }),
]);

/** Reads one stdout line of `codex exec --json`. */
export function parseCodexLine(text: string): AgentEvent[] {
  if (!text.startsWith("{")) return [];
  const parsed = line.safeParse(parseJson(text));
  return parsed.success ? eventsOf(parsed.data) : [];
}

/** Finds the reason of a failure in what codex left on stderr, or null. */
export function explainCodexStderr(stderr: string): AgentEvent | null {
  const unknownSession = /no rollout found for thread id[^\n]*/i.exec(stderr);
  if (unknownSession) return { type: "failure", kind: "session", message: unknownSession[0] };
  const error = /^(?:error|Error): ?([^\n]+)/m.exec(stderr);
  return error?.[1] ? { type: "failure", kind: kindOf(error[1]), message: error[1] } : null;
}

function eventsOf(event: z.infer<typeof line>): AgentEvent[] {
  switch (event.type) {
    case "thread.started":
      return [{ type: "session", sessionId: event.thread_id }];
    case "turn.started":
      return [{ type: "turn_started" }];
    case "item.started":
      return startedItem(event.item);
    case "item.completed":
      return completedItem(event.item);
    case "turn.completed":
      // Codex counts over the whole thread, also after a resume.
      return [
        { type: "usage", scope: "total", usage: { ...event.usage, cost_usd: null } },
        { type: "turn_completed" },
      ];
    case "turn.failed":
      return [{ type: "failure", kind: kindOf(event.error.message), message: event.error.message }];
    case "error":
      return [{ type: "retry", message: event.message, authentication: kindOf(event.message) === "auth" }];
  }
}

function startedItem(started: Item): AgentEvent[] {
  const call = toolCall(started);
  return call === null ? [] : [{ type: "tool_call", callId: started.id, ...call }];
}

function completedItem(done: Item): AgentEvent[] {
  if (done.type === "agent_message") return [{ type: "message", text: done.text ?? "" }];
  if (done.type === "reasoning") return [{ type: "reasoning", text: done.text ?? "" }];
  // Codex reports what it only wants to be known (an unknown model's metadata, a deprecation) as an "error" item.
  if (done.type === "error") return [{ type: "warning", message: done.message ?? done.text ?? "" }];
  const call = toolCall(done);
  if (call === null) return [];
  const output = done.aggregated_output ?? (done.result === undefined ? "" : JSON.stringify(done.result));
  const exitCode = done.exit_code ?? null;
  const failed = done.status === "failed" || (exitCode !== null && exitCode !== 0);
  return [{ type: "tool_result", callId: done.id, tool: call.tool, output, exitCode, failed }];
}

function toolCall(call: Item): { tool: string; input: unknown } | null {
  if (call.type === "command_execution") return { tool: "shell", input: { command: call.command ?? "" } };
  if (call.type === "file_change") return { tool: "file_change", input: { changes: call.changes ?? [] } };
  if (call.type === "web_search") return { tool: "web_search", input: { query: call.query ?? "" } };
  if (call.type === "mcp_tool_call") {
    return { tool: `${call.server ?? "mcp"}.${call.tool ?? "tool"}`, input: call.arguments ?? {} };
  }
  return null;
}

function kindOf(message: string): FailureKind {
  if (saysUnauthorized(message) || authFailure.test(message)) return "auth";
  if (/no rollout found/i.test(message)) return "session";
  if (/\b[45]\d\d\b|stream disconnected|exceeded retry|high demand|usage limit|model/i.test(message))
    return "model";
  return "other";
}

const authFailure =
  /not logged in|invalid api key|refresh token|missing environment variable: `\w*(KEY|TOKEN)`/i;
