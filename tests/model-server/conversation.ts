/**
 * What the chat-like APIs (Anthropic Messages, Gemini, OpenAI chat completions) have in common: a list of
 * messages, and tools the CLI offers by name. A wire file turns its vendor's body into these types and a
 * `Reply` into its vendor's answer; what a conversation means is decided here.
 */
import type { IncomingHttpHeaders, ServerResponse } from "node:http";
import type { ModelRequest, ModelStep } from "./script.ts";
import { asArray, asRecord, asString, type JsonRecord, type ModelCall, sendJson } from "./wire.ts";

export interface Message {
  readonly role: "user" | "model" | "system";
  readonly texts: readonly string[];
  /** The names of the tools a model message calls. */
  readonly calls?: readonly string[];
  /** What those tools answered; such a message is not the user's, whatever its role. */
  readonly results?: readonly string[];
}

export interface OfferedTool {
  readonly name: string;
  /** The JSON schema of its arguments. */
  readonly schema: JsonRecord;
}

export interface Conversation {
  readonly model: string;
  readonly system: readonly string[];
  readonly messages: readonly Message[];
  readonly tools: readonly OfferedTool[];
  /** The schema the API itself was told to hold the answer to. */
  readonly outputSchema?: unknown;
}

/** What the model says in one answer, in this order. */
export interface Reply {
  readonly reasoning?: string;
  readonly text?: string;
  readonly call?: { readonly name: string; readonly arguments: JsonRecord };
}

/** How the user texts begin that the CLIs themselves write. */
const INJECTED = new RegExp(
  [
    // claude
    "<system-reminder>",
    "\\[structured-output-enforce\\]",
    "<local-command",
    "<task-notification>",
    "Base directory for this skill:",
    "Stop hook feedback:",
    "\\[Request interrupted",
    // gemini and its fork qwen
    "<session_context>",
    "This is the (Gemini CLI|Qwen Code)",
    "<activated_skill",
    "System: (Potential loop|Please continue)",
  ]
    .map((start) => `^\\s*${start}`)
    .join("|"),
);

const SHELL_TOOL = /^(bash|run_shell_command)$/i;
/** How claude and qwen ask for data in a shape of the caller's: the model hands it to this tool. */
const STRUCTURED_TOOL = /^structured_?output$/i;
/** Qwen would let a model hand in data it refuses for ever; this one falls back to text. Claude stops it after 5. */
const MAX_STRUCTURED_TRIES = 10;
const DATA_TAKEN = /structured output (accepted|provided)/i;

/** Qwen looks for what to remember in a call that offers tools. */
const SIDE_PROMPT = /^Managed memory directory:/;

/** How a vendor's API says things. */
export interface Voice {
  errorBody(status: number, message: string): unknown;
  say(response: ServerResponse, reply: Reply, request: ModelRequest): void;
}

export function toCall(
  conversation: Conversation,
  voice: Voice,
  { body, headers }: { readonly body: unknown; readonly headers: IncomingHttpHeaders },
): ModelCall {
  const request = { ...toRequest(conversation), headers, raw: body };
  return {
    request,
    sideAnswer: sideAnswer(conversation),
    write: (response, step) => {
      if (step.kind === "error") {
        sendJson(response, step.status, step.body ?? voice.errorBody(step.status, step.message));
      } else if (step.kind === "tool" || step.kind === "text") {
        voice.say(response, toReply(step, conversation), request);
      }
    },
  };
}

function toRequest(conversation: Conversation): Omit<ModelRequest, "headers" | "raw"> {
  const { model, system, messages, tools } = conversation;
  const firstPrompt = messages.findIndex(isPrompt);
  const lastPrompt = messages.findLastIndex(isPrompt);
  const outputSchema =
    conversation.outputSchema ?? tools.find((tool) => STRUCTURED_TOOL.test(tool.name))?.schema;
  return {
    model,
    turnIndex: countAnswers(messages.slice(firstPrompt + 1)),
    stepIndex: countAnswers(messages.slice(lastPrompt + 1)),
    lastUserText: ownTexts(messages[lastPrompt]).join("\n"),
    allText: [
      ...system,
      ...messages.filter((message) => message.role !== "model").flatMap((message) => message.texts),
    ].join("\n"),
    toolResults: messages.flatMap((message) => message.results ?? []),
    ...(outputSchema === undefined ? {} : { outputSchema }),
  };
}

/** One answer may be several messages in a row: a text, then a tool call. */
function countAnswers(messages: readonly Message[]): number {
  return messages.filter((message, at) => message.role === "model" && messages[at - 1]?.role !== "model")
    .length;
}

function isPrompt(message: Message): boolean {
  return message.role === "user" && message.results === undefined && ownTexts(message).length > 0;
}

function ownTexts(message: Message | undefined): readonly string[] {
  return (message?.texts ?? []).filter((text) => text.trim() !== "" && !INJECTED.test(text));
}

/**
 * The answer to a call that is no step of the conversation, if this is one. The CLIs ask models for titles,
 * summaries, who speaks next and the like; such a call offers no tools, while the conversation always does.
 */
function sideAnswer({ messages, tools, outputSchema }: Conversation): ModelStep | undefined {
  if (tools.length === 0 && outputSchema !== undefined) {
    return { kind: "text", text: JSON.stringify(sampleOf(outputSchema)) };
  }
  const lastPrompt = ownTexts(messages.findLast(isPrompt));
  const isSide = tools.length === 0 || lastPrompt.some((text) => SIDE_PROMPT.test(text));
  return isSide || isDataTaken(messages) ? { kind: "text", text: "Done" } : undefined;
}

/** Whether the last thing that happened is that the structured output tool took the data: the turn is over. */
function isDataTaken(messages: readonly Message[]): boolean {
  const lastAnswer = messages.findLastIndex((message) => message.role === "model");
  const answer = messages[lastAnswer];
  const after = messages.slice(lastAnswer + 1);
  return (
    answer !== undefined &&
    callsStructuredTool(answer) &&
    after.some((message) => message.results?.some((result) => DATA_TAKEN.test(result))) &&
    !after.some(isPrompt)
  );
}

function callsStructuredTool(message: Message): boolean {
  return message.calls?.some((name) => STRUCTURED_TOOL.test(name)) === true;
}

/** A small value that fits a JSON schema, as far as the side calls of CLIs use schemas. */
function sampleOf(schema: unknown): unknown {
  const { type, enum: choices, properties, required } = asRecord(schema);
  if (Array.isArray(choices)) return choices[0];
  switch (asString(type).toLowerCase()) {
    case "object": {
      const fields = asRecord(properties);
      const names = required === undefined ? Object.keys(fields) : asArray(required).map(asString);
      return Object.fromEntries(names.map((name) => [name, sampleOf(fields[name])]));
    }
    case "array":
      return [];
    case "boolean":
      return false;
    case "number":
    case "integer":
      return 0;
    default:
      return "done";
  }
}

/** How the model says a step with the tools it is offered. */
function toReply(
  step: ModelStep & { readonly kind: "tool" | "text" },
  { tools, messages }: Conversation,
): Reply {
  if (step.kind === "tool") {
    const shell = tools.find((tool) => SHELL_TOOL.test(tool.name));
    if (shell === undefined) return { text: "There is no shell to work with." };
    return {
      ...(step.text === undefined ? {} : { text: step.text }),
      call: { name: shell.name, arguments: shellArguments(shell, step.command) },
    };
  }
  const thought = step.reasoning === undefined ? {} : { reasoning: step.reasoning };
  const structured = tools.find((tool) => STRUCTURED_TOOL.test(tool.name));
  const data = parseObject(step.text);
  const tries = messages.slice(messages.findLastIndex(isPrompt) + 1).filter(callsStructuredTool).length;
  return structured === undefined || data === undefined || tries >= MAX_STRUCTURED_TRIES
    ? { ...thought, text: step.text }
    : { ...thought, call: { name: structured.name, arguments: data } };
}

function shellArguments(shell: OfferedTool, command: string): JsonRecord {
  const known = asRecord(shell.schema.properties);
  return {
    command,
    ...("description" in known ? { description: "Run a command" } : {}),
    ...("is_background" in known ? { is_background: false } : {}),
  };
}

function parseObject(text: string): JsonRecord | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? asRecord(value) : undefined;
  } catch {
    return undefined;
  }
}
