/**
 * The wire of Anthropic's Messages API (`POST /v1/messages`), as far as claude uses it, streamed and not.
 *
 * Bodies come from a foreign program: every field is checked before it is used, anything unknown is skipped.
 */
import type { IncomingHttpHeaders, ServerResponse } from "node:http";
import { type Message, type OfferedTool, type Reply, toCall, type Voice } from "./conversation.ts";
import type { ModelRequest } from "./script.ts";
import {
  asArray,
  asRecord,
  asString,
  type JsonRecord,
  type ModelCall,
  type ModelWire,
  pieces,
  sendJson,
  startEventStream,
  TOKENS,
  textParts,
} from "./wire.ts";

/** Anthropic does not count cached tokens as input. */
const USAGE = {
  input_tokens: TOKENS.input - TOKENS.cached,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: TOKENS.cached,
  output_tokens: TOKENS.output,
};

const ERROR_TYPES: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  429: "rate_limit_error",
  529: "overloaded_error",
};

export const anthropicApi: ModelWire = {
  name: "anthropic-messages",
  accepts: (method, path) => method === "POST" && path.endsWith("/messages"),
  read: readCall,
  lookUp: (method, path) =>
    method === "POST" && path.endsWith("/messages/count_tokens") ? { input_tokens: TOKENS.input } : undefined,
};

function readCall(body: unknown, headers: IncomingHttpHeaders): ModelCall {
  const raw = asRecord(body);
  const conversation = {
    model: asString(raw.model),
    system: textParts(raw.system),
    messages: asArray(raw.messages).map(asRecord).map(toMessage),
    tools: asArray(raw.tools).map(asRecord).map(toTool),
    outputSchema: asRecord(asRecord(raw.output_config).format).schema,
  };
  const voice: Voice = {
    errorBody: (status, message) => ({
      type: "error",
      error: { type: ERROR_TYPES[status] ?? "api_error", message },
    }),
    say: (response, reply, request) => {
      const answer = toAnswer(reply, request);
      if (raw.stream === true) stream(response, answer);
      else sendJson(response, 200, answer);
    },
  };
  return toCall(conversation, voice, { body, headers });
}

function toMessage(message: JsonRecord): Message {
  const blocks = asArray(message.content).map(asRecord);
  const results = blocks
    .filter((block) => block.type === "tool_result")
    .map((block) => textParts(block.content).join("\n"));
  const role = asString(message.role);
  return {
    // Claude sends roles "user", "assistant" and, for its own context between them, "system".
    role: role === "assistant" ? "model" : role === "user" ? "user" : "system",
    texts: textParts(message.content),
    calls: blocks.filter((block) => block.type === "tool_use").map((block) => asString(block.name)),
    ...(results.length === 0 ? {} : { results }),
  };
}

function toTool(tool: JsonRecord): OfferedTool {
  return { name: asString(tool.name), schema: asRecord(tool.input_schema) };
}

interface Answer extends JsonRecord {
  readonly content: readonly Block[];
  readonly stop_reason: string;
}

type Block =
  | { readonly type: "thinking"; readonly thinking: string; readonly signature: string }
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "tool_use"; readonly id: string; readonly name: string; readonly input: JsonRecord };

function toAnswer(reply: Reply, request: ModelRequest): Answer {
  const content: Block[] = [];
  if (reply.reasoning !== undefined) {
    content.push({ type: "thinking", thinking: reply.reasoning, signature: "scripted" });
  }
  if (reply.text !== undefined) content.push({ type: "text", text: reply.text });
  if (reply.call !== undefined) {
    const id = `toolu_${request.turnIndex}`;
    content.push({ type: "tool_use", id, name: reply.call.name, input: reply.call.arguments });
  }
  return {
    id: `msg_${request.turnIndex}`,
    type: "message",
    role: "assistant",
    model: request.model,
    content,
    stop_reason: reply.call === undefined ? "end_turn" : "tool_use",
    stop_sequence: null,
    usage: USAGE,
  };
}

function stream(response: ServerResponse, answer: Answer): void {
  startEventStream(response);
  const send = (type: string, data: JsonRecord = {}): void => {
    response.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`);
  };
  const usage = { ...USAGE, output_tokens: 1 };
  send("message_start", { message: { ...answer, content: [], stop_reason: null, usage } });
  for (const [index, block] of answer.content.entries()) {
    const { start, deltas } = inDeltas(block);
    send("content_block_start", { index, content_block: start });
    for (const delta of deltas) send("content_block_delta", { index, delta });
    send("content_block_stop", { index });
  }
  const { stop_reason } = answer;
  send("message_delta", { delta: { stop_reason, stop_sequence: null }, usage: USAGE });
  send("message_stop");
  response.end();
}

/** A block starts empty and is filled by its deltas. */
function inDeltas(block: Block): { readonly start: JsonRecord; readonly deltas: readonly JsonRecord[] } {
  switch (block.type) {
    case "text":
      return {
        start: { type: "text", text: "" },
        deltas: pieces(block.text).map((text) => ({ type: "text_delta", text })),
      };
    case "thinking":
      return {
        start: { type: "thinking", thinking: "", signature: "" },
        deltas: [
          ...pieces(block.thinking).map((thinking) => ({ type: "thinking_delta", thinking })),
          { type: "signature_delta", signature: block.signature },
        ],
      };
    case "tool_use": {
      const json = pieces(JSON.stringify(block.input));
      return {
        start: { ...block, input: {} },
        deltas: json.map((partial_json) => ({ type: "input_json_delta", partial_json })),
      };
    }
  }
}
