/**
 * The wire of OpenAI's Responses API (`POST /v1/responses`), as far as codex uses it: the request is read
 * into a neutral `ModelRequest`, the scripted step is written as server-sent events.
 *
 * Bodies come from a foreign program, so every field is checked before it is used and anything unknown is
 * skipped: a new CLI version that adds an item type must not break the server.
 */
import type { IncomingHttpHeaders, ServerResponse } from "node:http";
import type { ModelRequest, ModelStep } from "./script.ts";
import {
  asArray,
  asRecord,
  asString,
  type JsonRecord,
  type ModelWire,
  sendJson,
  startEventStream,
  TOKENS,
  textParts,
} from "./wire.ts";

const USAGE = {
  input_tokens: TOKENS.input,
  input_tokens_details: { cached_tokens: TOKENS.cached },
  output_tokens: TOKENS.output,
  output_tokens_details: { reasoning_tokens: TOKENS.reasoning },
  total_tokens: TOKENS.total,
};

/** How the user messages begin that codex itself writes. */
const INJECTED = /^(<skill>|<environment_context>|<turn_aborted>|# AGENTS\.md instructions)/;

export const responsesApi: ModelWire = {
  name: "openai-responses",
  accepts: (method, path) => method === "POST" && path.endsWith("/responses"),
  read: (body, headers) => {
    const request = readRequest(body, headers);
    return { request, write: (response, step) => writeStep(response, step, request) };
  },
};

function readRequest(body: unknown, headers: IncomingHttpHeaders): ModelRequest {
  const request = asRecord(body);
  const items = asArray(request.input).map(asRecord);
  const instructions = asString(request.instructions);
  const prompts = items.filter((item) => asString(item.role) !== "assistant").map(textOf);
  const lastPrompt = items.findLastIndex(isPrompt);
  const outputSchema = asRecord(asRecord(request.text).format).schema;
  return {
    model: asString(request.model),
    turnIndex: countAnswers(items),
    stepIndex: countAnswers(items.slice(lastPrompt + 1)),
    lastUserText: textOf(items[lastPrompt] ?? {}),
    allText: [instructions, ...prompts].filter((text) => text !== "").join("\n"),
    toolResults: items.filter(isToolResult).map((item) => textParts(item.output).join("\n")),
    ...(outputSchema === undefined ? {} : { outputSchema }),
    headers,
    raw: body,
  };
}

/**
 * How many model calls the items hold. One answer may be several items (a message and a tool call), but only
 * tool calls and final messages end one, and a message that announces a tool call is followed by it.
 */
function countAnswers(items: readonly JsonRecord[]): number {
  return items.filter((item, index) => {
    if (isToolCall(item)) return true;
    const next = items[index + 1];
    return asString(item.role) === "assistant" && !(next !== undefined && isToolCall(next));
  }).length;
}

/**
 * Codex puts its own context (skill bodies, AGENTS.md, the environment) into user messages, before the prompt
 * as well as after it; taking one of those for the prompt would play the wrong rule.
 */
function isPrompt(item: JsonRecord): boolean {
  return asString(item.role) === "user" && !INJECTED.test(textOf(item));
}

function isToolCall(item: JsonRecord): boolean {
  return asString(item.type).endsWith("_call");
}

function isToolResult(item: JsonRecord): boolean {
  return asString(item.type).endsWith("_call_output");
}

function textOf(item: JsonRecord): string {
  return textParts(item.content).join("\n");
}

function writeStep(response: ServerResponse, step: ModelStep, request: ModelRequest): void {
  if (step.kind === "error") {
    sendJson(response, step.status, step.body ?? errorBody(step.status, step.message));
  } else if (step.kind === "tool") {
    const announcement = step.text === undefined ? [] : [message(step.text, request)];
    stream(response, request, [...announcement, shellCall(step.command, request)]);
  } else if (step.kind === "text") {
    const thought = step.reasoning === undefined ? [] : [reasoning(step.reasoning, request)];
    stream(response, request, [...thought, message(step.text, request)]);
  }
  // "delay" is over when a step gets here, and a "hang" is never written.
}

/** The error body of all of OpenAI's APIs. */
export function errorBody(status: number, message: string): unknown {
  const type =
    status === 401 ? "authentication_error" : status >= 500 ? "server_error" : "invalid_request_error";
  return { error: { message, type, code: status === 401 ? "invalid_api_key" : null, param: null } };
}

function message(text: string, request: ModelRequest): JsonRecord {
  const content = [{ type: "output_text", text, annotations: [] }];
  return { type: "message", id: `msg_${request.turnIndex}`, role: "assistant", status: "completed", content };
}

function reasoning(text: string, request: ModelRequest): JsonRecord {
  return { type: "reasoning", id: `rs_${request.turnIndex}`, summary: [{ type: "summary_text", text }] };
}

function shellCall(command: string, request: ModelRequest): JsonRecord {
  return {
    type: "function_call",
    id: `fc_${request.turnIndex}`,
    call_id: `call_${request.turnIndex}`,
    name: "exec_command",
    arguments: JSON.stringify({ cmd: command }),
    status: "completed",
  };
}

function stream(response: ServerResponse, request: ModelRequest, output: readonly JsonRecord[]): void {
  const id = `resp_${request.turnIndex}`;
  startEventStream(response);
  const send = (type: string, data: JsonRecord): void => {
    response.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`);
  };
  send("response.created", { response: { id, status: "in_progress", output: [] } });
  for (const [index, item] of output.entries()) {
    send("response.output_item.added", { output_index: index, item: { ...item, status: "in_progress" } });
    send("response.output_item.done", { output_index: index, item });
  }
  send("response.completed", { response: { id, status: "completed", output, usage: USAGE } });
  response.end();
}
