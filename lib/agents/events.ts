/** Tokens of one run. Counts a CLI does not tell are 0. */
export interface Usage {
  input_tokens: number;
  cached_input_tokens: number;
  output_tokens: number;
  reasoning_output_tokens: number;
  cost_usd: number | null;
}

/** Why a turn failed, as far as its stream tells. */
export type FailureKind = "auth" | "model" | "session" | "other";

/** What an agent's stream says, in one vocabulary for all CLIs. */
export type AgentEvent =
  | { type: "session"; sessionId: string }
  | { type: "turn_started" }
  /** Assistant text: with `delta`, a piece that is joined to the message before it; false, the first of such pieces. */
  | { type: "message"; text: string; delta?: boolean }
  | { type: "reasoning"; text: string }
  | { type: "tool_call"; callId: string; tool: string; input: unknown }
  | {
      type: "tool_result";
      callId: string;
      /** Null where the stream names the call only; `nameTools` fills it in. */
      tool: string | null;
      output: string;
      exitCode: number | null;
      failed: boolean;
    }
  /** `total`: counts since the session began; `step`: counts of one model call, to be added up. */
  | { type: "usage"; usage: Usage; scope: "total" | "step" }
  /** The CLI is trying a model call again by itself. */
  | { type: "retry"; message: string; authentication: boolean }
  | { type: "warning"; message: string }
  | { type: "failure"; kind: FailureKind; message: string }
  /**
   * The turn is over. `structured` is the answer when the CLI hands it over as an object. `exitCode` is what it may
   * end with beside 0: some call it a failure that an answer has the wrong shape, which is the runner's to mend.
   */
  | { type: "turn_completed"; text?: string; structured?: unknown; exitCode?: number };

/** Gives every tool result the name its call had. Made anew for each turn, as it remembers the calls. */
export function nameTools(): (event: AgentEvent) => AgentEvent {
  const names = new Map<string, string>();
  return (event) => {
    if (event.type === "tool_call") names.set(event.callId, event.tool);
    if (event.type !== "tool_result" || event.tool !== null) return event;
    return { ...event, tool: names.get(event.callId) ?? "tool" };
  };
}
