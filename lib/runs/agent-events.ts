import type { AgentEvent } from "../agents/index.ts";
import type { ToldEvent } from "./event-types.ts";

/** Longest text one event carries, in characters; the logs hold the whole of it. */
const maxText = 32 * 1024;

/** Codes of warnings that are the agent's own words. */
export const agentCodes: readonly string[] = ["AGENT_RETRY", "AGENT_WARNING", "AGENT_FAILURE"];

/** An agent's event as the run's log tells it, or null for what only the runner needs to know. */
export function describeAgentEvent(event: AgentEvent): ToldEvent | null {
  switch (event.type) {
    case "message":
      return {
        type: "assistant.message.intermediate",
        data: { ...shown(event.text), delta: event.delta ?? false },
      };
    case "reasoning":
      return { type: "assistant.reasoning", data: shown(event.text) };
    case "tool_call":
      return {
        type: typeOfTool(event.tool),
        data: { phase: "started", call_id: event.callId, tool: event.tool, ...shownInput(event.input) },
      };
    case "tool_result":
      return {
        type: typeOfTool(event.tool),
        data: {
          phase: "completed",
          call_id: event.callId,
          tool: event.tool ?? "tool",
          ...shown(event.output),
          exit_code: event.exitCode,
          failed: event.failed,
        },
      };
    case "retry":
      return {
        type: "diagnostic.warning",
        data: { code: "AGENT_RETRY", message: event.message.slice(0, maxText) },
      };
    case "warning":
      return {
        type: "diagnostic.warning",
        data: { code: "AGENT_WARNING", message: event.message.slice(0, maxText) },
      };
    case "failure":
      return {
        type: "diagnostic.warning",
        data: { code: "AGENT_FAILURE", kind: event.kind, message: event.message.slice(0, maxText) },
      };
    case "session":
    case "turn_started":
    case "usage":
    case "turn_completed":
      return null;
  }
}

function typeOfTool(tool: string | null): "assistant.command_execution" | "assistant.tool_call" {
  return tool === "shell" ? "assistant.command_execution" : "assistant.tool_call";
}

/** A text in bounded size. */
export function shown(text: string): { text: string; truncated?: true } {
  return text.length <= maxText ? { text } : { text: text.slice(0, maxText), truncated: true };
}

/** A tool's input in bounded size. JSON can be parsed that is nested too deep to be written again. */
function shownInput(input: unknown): { input: unknown; truncated?: true } {
  try {
    const text = JSON.stringify(input) ?? "null";
    return text.length <= maxText ? { input } : { input: { text: text.slice(0, maxText) }, truncated: true };
  } catch {
    return { input: null, truncated: true };
  }
}
