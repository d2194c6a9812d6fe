import { stripVTControlCharacters } from "node:util";
import { z } from "zod";
import { parseJson } from "../../json.ts";
import type { StreamReader } from "../agent.ts";
import type { AgentEvent, FailureKind } from "../events.ts";
import { saysUnauthorized } from "../unauthorized.ts";

const count = z.number().catch(0);
const text = z.string().catch("");
const of = <Type extends string, Shape extends z.ZodRawShape>(type: Type, shape: Shape) =>
  z.object({ type: z.literal(type), sessionID: z.string(), ...shape });

const toolPart = z.object({
  callID: z.string(),
  tool: z.string(),
  state: z.object({
    status: text,
    input: z.unknown().optional(),
    output: z.string().optional(),
    error: z.string().optional(),
    metadata: z.object({ exit: z.number().nullish() }).optional().catch(undefined),
  }),
});
type ToolPart = z.infer<typeof toolPart>;

const failure = z.object({
  name: text,
  data: z.object({ message: text, statusCode: z.number().optional().catch(undefined) }).optional(),
});

/** The lines of `opencode run --format json` that we read, as printed by opencode 1.18, and those of our plugin. */
const line = z.discriminatedUnion("type", [
  of("step_start", {}),
  of("text", { part: z.object({ text }) }),
  of("reasoning", { part: z.object({ text }) }),
  of("tool_start", { part: toolPart }),
  of("tool_use", { part: toolPart }),
  of("step_finish", {
    part: z.object({
      reason: text,
      cost: z.number().nullable().catch(null),
      tokens: z.object({
        input: count,
        output: count,
        reasoning: count,
        cache: z.object({ read: count, write: count }),
      }),
    }),
  }),
  of("retry", { message: text }),
  of("gave_up", { message: text }),
  of("error", { error: failure }),
]);
type Line = z.infer<typeof line>;

/** Reads the stdout of one `opencode run --format json`. */
export function readOpencode(): StreamReader {
  let session: string | null = null;
  let gaveUp = false;
  let failureTold = false;
  const started = new Set<string>();
  const eventsOf = (told: Line): AgentEvent[] => {
    switch (told.type) {
      case "step_start":
        return [];
      case "text":
        return [{ type: "message", text: told.part.text }];
      case "reasoning":
        return [{ type: "reasoning", text: told.part.text }];
      case "tool_start":
        return begin(told.part);
      case "tool_use":
        return [...begin(told.part), toolResult(told.part)];
      case "step_finish":
        return finishedStep(told.part, failureTold);
      case "retry":
        return [{ type: "retry", message: told.message, authentication: isAuth(told.message) }];
      case "gave_up":
        gaveUp = true;
        return [{ type: "failure", kind: isAuth(told.message) ? "auth" : "model", message: told.message }];
      case "error":
        // After giving up it says that it was aborted; why, has been told.
        if (gaveUp) return [];
        failureTold = true;
        return failed(told.error);
    }
  };
  /** The call of a tool, once: opencode itself prints a tool only when it has ended. */
  const begin = ({ callID, tool, state }: ToolPart): AgentEvent[] => {
    if (started.has(callID)) return [];
    started.add(callID);
    return [{ type: "tool_call", callId: callID, tool: nameOf(tool), input: state.input ?? {} }];
  };
  return {
    line(text) {
      if (!text.startsWith("{")) return [];
      const parsed = line.safeParse(parseJson(text));
      if (!parsed.success) return [];
      const events = eventsOf(parsed.data);
      if (session !== null) return events;
      session = parsed.data.sessionID;
      return [{ type: "session", sessionId: session }, { type: "turn_started" }, ...events];
    },
  };
}

/** Finds the reason of a failure in what opencode logged on stderr, or null. */
export function explainOpencodeStderr(stderr: string): AgentEvent | null {
  const unknownSession = /Session not found[^\n]*/.exec(stderr);
  if (unknownSession) return { type: "failure", kind: "session", message: unknownSession[0] };
  const logged = [...stderr.matchAll(/level=ERROR [^\n]*?\berror="((?:[^"\\\n]|\\.)*)"/g)].at(-1)?.[1];
  const said = logged ?? /Error: ([^\n]+)/.exec(stripVTControlCharacters(stderr))?.[1];
  if (said === undefined) return null;
  const name = /^\w*Error(?=: )/.exec(said)?.[0] ?? "";
  const message = said.replace(`${name}: `, "");
  // A provider without a key or login is not loaded, and then none of its models is known.
  const advice = /Model not found/.test(message)
    ? " A provider's models are there only when opencode has a key or a login for it."
    : "";
  return { type: "failure", kind: kindOf(name, undefined, message), message: message + advice };
}

type FinishedStep = Extract<Line, { type: "step_finish" }>["part"];

/** @param failureTold an error before has told more than the reason `error` does */
function finishedStep({ reason, cost, tokens }: FinishedStep, failureTold: boolean): AgentEvent[] {
  const usage: AgentEvent = {
    type: "usage",
    scope: "step",
    usage: {
      // opencode counts what was read from or written to the cache apart.
      input_tokens: tokens.input + tokens.cache.read + tokens.cache.write,
      cached_input_tokens: tokens.cache.read,
      output_tokens: tokens.output + tokens.reasoning,
      reasoning_output_tokens: tokens.reasoning,
      cost_usd: cost,
    },
  };
  if (reason === "tool-calls") return [usage];
  if (reason === "length" || reason === "content-filter") {
    return [
      usage,
      { type: "failure", kind: "model", message: `The model's answer was cut short: ${reason}.` },
    ];
  }
  if (reason === "error") {
    const message = "The model's answer ended with an error.";
    return failureTold ? [usage] : [usage, { type: "failure", kind: "model", message }];
  }
  return [usage, { type: "turn_completed" }];
}

function toolResult({ callID, tool, state }: ToolPart): AgentEvent {
  const exitCode = state.metadata?.exit ?? null;
  return {
    type: "tool_result",
    callId: callID,
    tool: nameOf(tool),
    output: state.output ?? state.error ?? "",
    exitCode,
    failed: state.status === "error" || (exitCode !== null && exitCode !== 0),
  };
}

function failed({ name, data }: z.infer<typeof failure>): AgentEvent[] {
  const message = data?.message || name;
  // The reason is in its log only, which goes to stderr.
  if (/^Unexpected server error/.test(message)) return [{ type: "warning", message }];
  return [{ type: "failure", kind: kindOf(name, data?.statusCode, message), message }];
}

function kindOf(name: string, status: number | undefined, message: string): FailureKind {
  if (name === "ProviderAuthError" || status === 401 || status === 403) return "auth";
  if (status === undefined && isAuth(message)) return "auth";
  return /^(AI_)?API|Model|Context|OutputLength/.test(name) ? "model" : "other";
}

function isAuth(message: string): boolean {
  return (
    saysUnauthorized(message) ||
    /invalid api key|incorrect api key|api key is missing|not logged in/i.test(message)
  );
}

function nameOf(tool: string): string {
  return tool === "bash" ? "shell" : tool;
}
