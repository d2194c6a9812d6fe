import { z } from "zod";
import type { StreamReader } from "./agent.ts";
import type { AgentEvent, FailureKind, Usage } from "./events.ts";

const count = z.number().catch(0);
const usage = z
  .object({
    input_tokens: count,
    output_tokens: count,
    cache_read_input_tokens: count,
    cache_creation_input_tokens: count,
  })
  .catch({
    input_tokens: 0,
    output_tokens: 0,
    cache_read_input_tokens: 0,
    cache_creation_input_tokens: 0,
  });

const block = z.discriminatedUnion("type", [
  z.object({ type: z.literal("text"), text: z.string() }),
  z.object({ type: z.literal("thinking"), thinking: z.string() }),
  z.object({ type: z.literal("tool_use"), id: z.string(), name: z.string(), input: z.unknown().optional() }),
  z.object({
    type: z.literal("tool_result"),
    tool_use_id: z.string(),
    content: z.unknown().optional(),
    is_error: z.boolean().catch(false),
  }),
]);
type Block = z.infer<typeof block>;

const text = z.string().nullish().catch(null);
const result = z.object({
  type: z.literal("result"),
  subtype: z.string().catch(""),
  is_error: z.boolean().catch(false),
  result: text,
  errors: z.array(z.string()).catch([]),
  error: z.object({ message: z.string() }).nullish().catch(null),
  api_error_status: z.number().nullish().catch(null),
  total_cost_usd: z.number().nullish().catch(null),
  usage,
  structured_output: z.unknown().optional(),
  structured_result: z.unknown().optional(),
});
/** The line a turn ends with. */
export type ResultLine = z.infer<typeof result>;

/** The lines we read, as printed by claude 2.1.197 and qwen 0.15.10, which follows it. */
const line = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("system"),
    subtype: z.string(),
    session_id: text,
    attempt: count,
    max_retries: count,
    error_status: z.number().nullish().catch(null),
    error: text,
  }),
  z.object({
    type: z.enum(["assistant", "user"]),
    message: z.object({ model: text, content: z.array(z.unknown()).catch([]), usage }),
    /** The call whose sub-agent says this, or null for the agent itself. */
    parent_tool_use_id: text,
    error: text,
  }),
  result,
]);
type Line = z.infer<typeof line>;

/** The last thing the agent itself said. */
export interface LastMessage {
  /** Empty when it only called a tool. */
  text: string;
  model: string | null;
  usage: z.infer<typeof usage>;
  /** The API error the message stands for, in claude's words. */
  error: string | null;
}

/** Where the CLIs that print such a stream differ. */
export interface StreamDialect {
  shellTool: string;
  /** The tool the model hands data in a shape of the caller's to. */
  structuredTool: string;
  /** What a shell call ended with, as far as its output tells. */
  exitCode(output: string, failed: boolean): number | null;
  /** Whether the last line counts the whole session, or this turn only. */
  counts: "session" | "turn";
  /** Whether `input_tokens` holds the cached ones too. */
  inputHoldsCached: boolean;
  /** Whether the turn failed. @param structured what the structured tool was last called with */
  judge(result: ResultLine, last: LastMessage | null, structured: unknown): AgentEvent;
}

/**
 * Reads the stream of one turn. The verdict comes with the end of stdout: sub-agents and background work may print result
 * lines of their own, and the last one is the turn's.
 */
export function readAnthropicStream(dialect: StreamDialect): StreamReader {
  const calls = new Map<string, string>();
  let last: LastMessage | null = null;
  let structured: unknown;
  let verdict: ResultLine | null = null;

  const call = ({ id, name, input }: Block & { type: "tool_use" }): AgentEvent => {
    calls.set(id, name);
    if (name === dialect.structuredTool) structured = input;
    const { success, data } = z.object({ command: z.string() }).safeParse(input);
    return name === dialect.shellTool && success
      ? { type: "tool_call", callId: id, tool: "shell", input: data }
      : { type: "tool_call", callId: id, tool: name, input };
  };
  const answer = (done: Block & { type: "tool_result" }): AgentEvent => {
    const output = textOf(done.content);
    const isShell = calls.get(done.tool_use_id) === dialect.shellTool;
    const exitCode = isShell ? dialect.exitCode(output, done.is_error) : null;
    const failed = done.is_error || (exitCode ?? 0) !== 0;
    return { type: "tool_result", callId: done.tool_use_id, tool: null, output, exitCode, failed };
  };
  const said = ({ message, parent_tool_use_id, error }: Line & { type: "assistant" | "user" }) => {
    const blocks = message.content.flatMap((item) => block.safeParse(item).data ?? []);
    return { message, blocks, isOwn: (parent_tool_use_id ?? null) === null, error: error ?? null };
  };
  const eventsOf = (event: Line): AgentEvent[] => {
    switch (event.type) {
      case "system":
        return systemEvents(event);
      case "user":
        return said(event).blocks.flatMap((item) => (item.type === "tool_result" ? answer(item) : []));
      case "assistant": {
        const { message, blocks, isOwn, error } = said(event);
        if (isOwn) last = { text: textOf(blocks), model: message.model ?? null, usage: message.usage, error };
        return blocks.flatMap((item): AgentEvent[] => {
          if (item.type === "tool_use") return [call(item)];
          // What a sub-agent says is for the agent, not for the user.
          if (item.type === "text") return isOwn ? [{ type: "message", text: item.text }] : [];
          return item.type === "thinking" ? [{ type: "reasoning", text: item.thinking }] : [];
        });
      }
      case "result":
        verdict = event;
        return [];
    }
  };
  return {
    line(printed) {
      if (!printed.startsWith("{")) return [];
      const parsed = line.safeParse(parseJson(printed));
      return parsed.success ? eventsOf(parsed.data) : [];
    },
    end: () =>
      verdict === null ? [] : [...usageOf(verdict, dialect), dialect.judge(verdict, last, structured)],
  };
}

/** A failure event. */
export function failure(kind: FailureKind, message: string): AgentEvent {
  return { type: "failure", kind, message };
}

function systemEvents(event: Line & { type: "system" }): AgentEvent[] {
  if (event.subtype === "init") {
    const { session_id: sessionId } = event;
    return [...(sessionId ? [{ type: "session" as const, sessionId }] : []), { type: "turn_started" }];
  }
  if (event.subtype !== "api_retry") return [];
  const reason = [event.error_status, event.error].filter((part) => (part ?? null) !== null).join(" ");
  const message = `The model API failed (${reason}); attempt ${event.attempt} of ${event.max_retries} to try again.`;
  const authentication = event.error_status === 401 || event.error === "authentication_failed";
  return [{ type: "retry", message, authentication }];
}

/** What all model calls took, those of sub-agents included; nothing when no model answered. */
function usageOf({ usage: counted, total_cost_usd }: ResultLine, dialect: StreamDialect): AgentEvent[] {
  const cached = counted.cache_read_input_tokens;
  const beside = dialect.inputHoldsCached ? 0 : cached + counted.cache_creation_input_tokens;
  const total: Usage = {
    input_tokens: counted.input_tokens + beside,
    cached_input_tokens: cached,
    output_tokens: counted.output_tokens,
    reasoning_output_tokens: 0,
    cost_usd: total_cost_usd ?? null,
  };
  if (total.input_tokens + total.output_tokens === 0) return [];
  return [{ type: "usage", scope: dialect.counts === "session" ? "total" : "step", usage: total }];
}

function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  const blocks = z.array(z.unknown()).safeParse(content).data ?? [];
  return blocks
    .flatMap(
      (item) => z.object({ type: z.literal("text"), text: z.string() }).safeParse(item).data?.text ?? [],
    )
    .join("\n");
}

function parseJson(printed: string): unknown {
  try {
    return JSON.parse(printed);
  } catch {
    return null;
  }
}
