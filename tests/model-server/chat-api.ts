/**
 * The wire of OpenAI's chat completions (`POST /v1/chat/completions`), as far as opencode and qwen use it,
 * streamed and not.
 *
 * Bodies come from a foreign program: every field is checked before it is used, anything unknown is skipped.
 */
import type { IncomingHttpHeaders, ServerResponse } from "node:http";
import { type Message, type OfferedTool, type Reply, toCall, type Voice } from "./conversation.ts";
import { errorBody } from "./responses-api.ts";
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

const USAGE = {
  prompt_tokens: TOKENS.input,
  prompt_tokens_details: { cached_tokens: TOKENS.cached },
  completion_tokens: TOKENS.output,
  completion_tokens_details: { reasoning_tokens: TOKENS.reasoning },
  total_tokens: TOKENS.total,
};

export const chatApi: ModelWire = {
  name: "openai-chat",
  accepts: (method, path) => method === "POST" && path.endsWith("/chat/completions"),
  read: readCall,
};

function readCall(body: unknown, headers: IncomingHttpHeaders): ModelCall {
  const raw = asRecord(body);
  const conversation = {
    model: asString(raw.model),
    system: [],
    messages: asArray(raw.messages).map(asRecord).map(toMessage),
    tools: asArray(raw.tools)
      .map((tool) => asRecord(asRecord(tool).function))
      .map(toTool),
    outputSchema: asRecord(asRecord(raw.response_format).json_schema).schema,
  };
  const voice: Voice = {
    errorBody,
    say: (response, reply, request) => {
      if (raw.stream === true) stream(response, reply, request);
      else sendJson(response, 200, whole(reply, request));
    },
  };
  return toCall(conversation, voice, { body, headers });
}

function toMessage(message: JsonRecord): Message {
  const texts = textParts(message.content);
  switch (message.role) {
    case "assistant":
      return { role: "model", texts, calls: asArray(message.tool_calls).map(calledName) };
    case "tool":
      return { role: "user", texts: [], results: [texts.join("\n")] };
    case "user":
      return { role: "user", texts };
    default:
      return { role: "system", texts };
  }
}

function calledName(call: unknown): string {
  return asString(asRecord(asRecord(call).function).name);
}

function toTool(tool: JsonRecord): OfferedTool {
  return { name: asString(tool.name), schema: asRecord(tool.parameters) };
}

function toolCall(call: NonNullable<Reply["call"]>, request: ModelRequest): JsonRecord {
  return {
    id: `call_${request.turnIndex}`,
    type: "function",
    function: { name: call.name, arguments: JSON.stringify(call.arguments) },
  };
}

function common({ turnIndex, model }: ModelRequest): JsonRecord {
  return { id: `chatcmpl-${turnIndex}`, created: 1_700_000_000, model };
}

function finishReason(reply: Reply): string {
  return reply.call === undefined ? "stop" : "tool_calls";
}

function whole(reply: Reply, request: ModelRequest): JsonRecord {
  const message = {
    role: "assistant",
    content: reply.text ?? null,
    ...(reply.reasoning === undefined ? {} : { reasoning_content: reply.reasoning }),
    ...(reply.call === undefined ? {} : { tool_calls: [toolCall(reply.call, request)] }),
  };
  return {
    ...common(request),
    object: "chat.completion",
    choices: [{ index: 0, message, finish_reason: finishReason(reply) }],
    usage: USAGE,
  };
}

function stream(response: ServerResponse, reply: Reply, request: ModelRequest): void {
  startEventStream(response);
  const send = (data: JsonRecord): void => {
    const chunk = { ...common(request), object: "chat.completion.chunk", ...data };
    response.write(`data: ${JSON.stringify(chunk)}\n\n`);
  };
  const say = (delta: JsonRecord, finish_reason: string | null = null): void =>
    send({ choices: [{ index: 0, delta, finish_reason }] });

  say({ role: "assistant", content: "" });
  for (const reasoning_content of reply.reasoning === undefined ? [] : pieces(reply.reasoning)) {
    say({ reasoning_content });
  }
  for (const content of reply.text === undefined ? [] : pieces(reply.text)) say({ content });
  if (reply.call !== undefined) say({ tool_calls: [{ index: 0, ...toolCall(reply.call, request) }] });
  say({}, finishReason(reply));
  send({ choices: [], usage: USAGE });
  response.end("data: [DONE]\n\n");
}
