import { z } from "zod";
import type { AgentEvent, Usage } from "../events.ts";
import { promptUsage, stepUsage } from "./usage.ts";

const text = z.string().catch("");
const anything = z.unknown();
const contentText = z.object({ type: z.literal("text"), text: z.string() });
const meta = z.record(z.string(), anything).nullish().catch(null);

const chunk = z.object({
  content: contentText,
  messageId: z.string().nullish().catch(null),
  _meta: meta.optional(),
});
/** A tool call as far as it is told: the first message of one, a change to it, or what permission is asked for. */
const toolCall = z.object({
  toolCallId: z.string(),
  title: z.string().nullish().catch(null),
  kind: z.string().nullish().catch(null),
  status: z.string().nullish().catch(null),
  content: z.array(anything).nullish().catch(null),
  rawInput: anything.optional(),
  rawOutput: anything.optional(),
});
export type AcpToolCall = z.infer<typeof toolCall>;

const usageUpdate = z.object({
  sessionUpdate: z.literal("usage_update"),
  cost: z.object({ amount: z.number(), currency: z.string() }).nullish().catch(null),
});

const update = z.discriminatedUnion("sessionUpdate", [
  chunk.extend({ sessionUpdate: z.literal("agent_message_chunk") }),
  chunk.extend({ sessionUpdate: z.literal("agent_thought_chunk") }),
  chunk.extend({ sessionUpdate: z.literal("user_message_chunk") }),
  toolCall.extend({ sessionUpdate: z.literal("tool_call") }),
  toolCall.extend({ sessionUpdate: z.literal("tool_call_update") }),
  usageUpdate,
]);
const notification = z.object({ update });

/** The answer to `session/prompt`. */
export const promptAnswer = z.object({
  stopReason: text,
  usage: anything.optional(),
  _meta: meta.optional(),
});

/** The parameters of `session/request_permission`. */
export const permissionRequest = z.object({
  toolCall,
  options: z.array(z.object({ optionId: z.string(), kind: text })),
});

/** Longest piece of the model's thoughts in one event, in UTF-16 units. */
const maxThoughtLength = 64 * 1024;

/** Turns what a session tells into events. Made anew for each turn. */
export function createUpdateReader(emit: (event: AgentEvent) => void) {
  const calls = new Map<string, AcpToolCall & { told?: boolean }>();
  let thought = "";
  let messageId: string | null | undefined;
  let steps = 0;
  // The protocol tells what the whole session has cost, so a turn's cost is what came to it. What a loaded session had
  // cost before is known only when the CLI tells it while it loads; else the turn's cost is not known.
  let costBefore: number | null = null;
  let costSince: number | null = null;

  const tell = (event: AgentEvent) => {
    if (thought !== "") emit({ type: "reasoning", text: thought });
    thought = "";
    emit(event);
  };
  const tool = (changed: AcpToolCall) => {
    const call = { ...calls.get(changed.toolCallId), ...told(changed) };
    calls.set(changed.toolCallId, call);
    const ended = call.status === "completed" || call.status === "failed";
    // Agents often announce a call before they know what it is to do.
    if (!call.told && (ended || call.status === "in_progress")) begin(call);
    if (!ended) return;
    calls.delete(changed.toolCallId);
    tell(toolResult(call));
  };
  const begin = (call: AcpToolCall & { told?: boolean }) => {
    call.told = true;
    tell({ type: "tool_call", callId: call.toolCallId, tool: nameOf(call), input: inputOf(call) });
  };
  return {
    /** Parameters of one `session/update`; what is none gives no event. */
    take(params: unknown) {
      const parsed = notification.safeParse(params);
      if (!parsed.success) return;
      const said = parsed.data.update;
      switch (said.sessionUpdate) {
        case "agent_message_chunk": {
          const used = stepUsage(said._meta);
          if (said.content.text !== "") {
            const more = said.messageId === messageId;
            messageId = said.messageId;
            tell({ type: "message", text: said.content.text, delta: more });
          }
          if (used === null) return;
          steps += 1;
          return tell({ type: "usage", scope: "step", usage: used });
        }
        case "agent_thought_chunk":
          thought += said.content.text;
          for (; thought.length > maxThoughtLength; thought = thought.slice(maxThoughtLength)) {
            emit({ type: "reasoning", text: thought.slice(0, maxThoughtLength) });
          }
          return;
        case "tool_call":
        case "tool_call_update":
          return tool(said);
        case "usage_update":
          costSince = usdOf(said) ?? costSince;
          return;
        case "user_message_chunk":
          return;
      }
    },
    /** What permission is asked for is about to run. */
    permitted(call: AcpToolCall) {
      tool({ ...call, status: "in_progress" });
    },
    /** The turn is over: its counts, when its steps told none, what it cost, and how it ended. */
    end(answer: z.infer<typeof promptAnswer>) {
      const used = steps > 0 ? null : promptUsage(answer);
      const costUsd = costBefore === null || costSince === null ? null : costSince - costBefore;
      if (used !== null || costUsd !== null) {
        tell({ type: "usage", scope: "step", usage: { ...(used ?? nothing), cost_usd: costUsd } });
      }
      tell(endOf(answer.stopReason));
    },
    /** The session is a new one: it has cost nothing yet. */
    newSession() {
      costBefore = 0;
    },
    /** Parameters of a `session/update` before the turn; whether anything of a conversation is in them. */
    takeHistory(params: unknown): boolean {
      const parsed = notification.safeParse(params);
      if (!parsed.success) return false;
      if (parsed.data.update.sessionUpdate !== "usage_update") return true;
      costBefore = usdOf(parsed.data.update) ?? costBefore;
      return false;
    },
  };
}

function usdOf({ cost }: z.infer<typeof usageUpdate>): number | null {
  return cost?.currency === "USD" ? cost.amount : null;
}

function endOf(stopReason: string): AgentEvent {
  switch (stopReason) {
    case "end_turn":
      return { type: "turn_completed" };
    case "cancelled":
      return { type: "failure", kind: "other", message: "The CLI cancelled the turn by itself." };
    default:
      return { type: "failure", kind: "model", message: `The turn ended before its answer: ${stopReason}.` };
  }
}

const nothing: Usage = {
  input_tokens: 0,
  cached_input_tokens: 0,
  output_tokens: 0,
  reasoning_output_tokens: 0,
  cost_usd: null,
};

/** A change without what it leaves unsaid, so that it can be laid over what was known. */
function told(changed: AcpToolCall): AcpToolCall {
  const said = Object.fromEntries(Object.entries(changed).filter(([, value]) => value != null));
  return { ...said, toolCallId: changed.toolCallId };
}

/** The protocol has kinds of tools, not their names. */
function nameOf({ kind }: AcpToolCall): string {
  return kind === "execute" ? "shell" : (kind ?? "tool");
}

function inputOf({ kind, title, rawInput }: AcpToolCall): unknown {
  const given = z.record(z.string(), anything).safeParse(rawInput);
  const input = given.success ? given.data : {};
  if (kind !== "execute") return { title, ...input };
  // The command is in the title where the agent gives no input.
  return { command: title, ...input };
}

const rawResult = z.object({
  exit: z.number().optional(),
  exitCode: z.number().optional(),
  exit_code: z.number().optional(),
  metadata: z.object({ exit: z.number().optional() }).optional().catch(undefined),
});

function toolResult(call: AcpToolCall): AgentEvent {
  const raw = rawResult.safeParse(call.rawOutput).data;
  const exitCode = raw?.exit ?? raw?.exitCode ?? raw?.exit_code ?? raw?.metadata?.exit ?? null;
  return {
    type: "tool_result",
    callId: call.toolCallId,
    tool: nameOf(call),
    output: outputOf(call),
    exitCode,
    failed: call.status === "failed" || (exitCode !== null && exitCode !== 0),
  };
}

const shown = z.object({ type: z.literal("content"), content: contentText });

function outputOf({ content, rawOutput }: AcpToolCall): string {
  const texts = (content ?? []).flatMap((part) => shown.safeParse(part).data?.content.text ?? []);
  if (texts.length > 0) return texts.join("\n");
  if (rawOutput === undefined) return "";
  return typeof rawOutput === "string" ? rawOutput : JSON.stringify(rawOutput);
}
