/**
 * What a scripted model says, with no word about how it is said.
 *
 * The agent CLIs under test each speak another vendor's API. A scenario ("call a tool, then answer with
 * this JSON") is the same for all of them, so scripts are written once against these types and every wire
 * file (`responses-api.ts`, ...) translates them.
 */
import type { IncomingHttpHeaders } from "node:http";

/** One model call, reduced to what a script needs to decide its answer. */
export interface ModelRequest {
  readonly model: string;
  /** Model calls that were already answered in this conversation, earlier user turns included. */
  readonly turnIndex: number;
  /** Model calls that were already answered since the last user message: the index of the step to play. */
  readonly stepIndex: number;
  readonly lastUserText: string;
  /** Every user, developer and system text of the conversation, system instructions included. */
  readonly allText: string;
  /** The output of every tool call so far, oldest first. */
  readonly toolResults: readonly string[];
  /** The JSON schema the answer must follow, when the CLI asked the model for one. */
  readonly outputSchema?: unknown;
  readonly headers: IncomingHttpHeaders;
  /** The parsed body, for assertions that are about one vendor's wire. */
  readonly raw: unknown;
}

/** One answer of the model. */
export type ModelStep =
  /** Run a shell command through the CLI's own shell tool; `text` is said just before it. */
  | { readonly kind: "tool"; readonly command: string; readonly text?: string }
  /** End the turn with this text; `reasoning` is the summary of what the model thought before. */
  | { readonly kind: "text"; readonly text: string; readonly reasoning?: string }
  /** Answer with an HTTP error; `body` replaces the vendor's usual error body. */
  | { readonly kind: "error"; readonly status: number; readonly message: string; readonly body?: unknown }
  /** Take the request and never answer it. */
  | { readonly kind: "hang" }
  /** Wait, then do something else. */
  | { readonly kind: "delay"; readonly ms: number; readonly next: ModelStep };

export type ModelScript = (request: ModelRequest) => ModelStep | Promise<ModelStep>;

/** The steps played in a conversation that contains `match`. */
export interface PromptRule {
  readonly match: RegExp | string;
  readonly steps: readonly ModelStep[];
}

/**
 * Picks the first rule whose `match` is in the last user message, else in any text of the conversation, and
 * plays its Nth step for the Nth model call since that message. The last message goes first so that a
 * resumed conversation, which still contains its older prompts, is played by its newest one.
 *
 * It keeps no state: the position is read from the request, so one script serves many runs at once and a
 * retried request gets the same step again. Past its end the last step is repeated.
 */
export function byPrompt(rules: readonly PromptRule[]): ModelScript {
  return (request) => {
    const rule =
      rules.find((candidate) => matches(candidate.match, request.lastUserText)) ??
      rules.find((candidate) => matches(candidate.match, request.allText));
    const step = rule?.steps[Math.min(request.stepIndex, rule.steps.length - 1)];
    return step ?? { kind: "error", status: 400, message: "The model script has no rule for this prompt." };
  };
}

/** Plays the steps in order for every conversation, whatever its prompt says. */
export function bySteps(...steps: readonly ModelStep[]): ModelScript {
  return byPrompt([{ match: "", steps }]);
}

function matches(match: RegExp | string, text: string): boolean {
  // search(), not test(): a global or sticky expression would carry its position from run to run.
  return typeof match === "string" ? text.includes(match) : text.search(match) >= 0;
}
