import { askModel, type ToolCall } from "./model.ts";
import type { Session } from "./session.ts";
import type { Endpoint } from "./settings.ts";
import { offeredTools, runTool, type ToolResult } from "./tools.ts";

export interface TurnListener {
  beforeModelCall?(): void;
  onText(text: string): void;
  onToolCall?(call: ToolCall): void;
  onToolResult?(call: ToolCall, result: ToolResult): void;
}

/**
 * Asks the model and runs what it calls for until it calls for nothing.
 * @throws Error when the model cannot be asked.
 */
export async function takeTurn(
  endpoint: Endpoint,
  session: Session,
  options: { prompt: string; signal: AbortSignal; listener: TurnListener },
): Promise<{ rounds: number; usage: { input: number; output: number } }> {
  const { signal, listener } = options;
  const usage = { input: 0, output: 0 };
  session.add({ role: "user", content: options.prompt });
  for (let rounds = 1; ; rounds++) {
    listener.beforeModelCall?.();
    const answer = await askModel(endpoint, {
      messages: [{ role: "system", content: "You are iFlow CLI." }, ...session.messages],
      tools: offeredTools(),
      signal,
      onText: listener.onText,
    });
    usage.input += answer.usage.input;
    usage.output += answer.usage.output;
    const called = answer.calls.length === 0 ? {} : { tool_calls: answer.calls };
    session.add({ role: "assistant", content: answer.text, ...called });
    if (answer.calls.length === 0) return { rounds, usage };
    for (const call of answer.calls) {
      listener.onToolCall?.(call);
      const result = await runTool(call, signal);
      listener.onToolResult?.(call, result);
      session.add({ role: "tool", tool_call_id: call.id, content: result.output });
    }
  }
}
