import { z } from "zod";
import { parseJson } from "../json.ts";
import type { StreamReader } from "./agent.ts";
import { type Block, block, type Line, line, type ResultLine, type TokenCounts } from "./anthropic-lines.ts";
import type { AgentEvent, FailureKind, Usage } from "./events.ts";

/** The last thing the agent itself said. */
export interface LastMessage {
  /** Empty when it only called a tool. */
  text: string;
  model: string | null;
  usage: TokenCounts;
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
