/**
 * The wire of the Gemini API (`POST /v1beta/models/{model}:streamGenerateContent` and `:generateContent`),
 * as far as the gemini CLI uses it.
 *
 * Bodies come from a foreign program: every field is checked before it is used, anything unknown is skipped.
 */
import type { IncomingHttpHeaders, ServerResponse } from "node:http";
import { type Message, type OfferedTool, type Reply, toCall, type Voice } from "./conversation.ts";
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

/** Gemini does not count thoughts as candidates. */
const USAGE = {
  promptTokenCount: TOKENS.input,
  cachedContentTokenCount: TOKENS.cached,
  candidatesTokenCount: TOKENS.output - TOKENS.reasoning,
  thoughtsTokenCount: TOKENS.reasoning,
  totalTokenCount: TOKENS.total,
};

const ERROR_STATUS: Readonly<Record<number, string>> = {
  400: "INVALID_ARGUMENT",
  401: "UNAUTHENTICATED",
  403: "PERMISSION_DENIED",
  404: "NOT_FOUND",
  429: "RESOURCE_EXHAUSTED",
  500: "INTERNAL",
  503: "UNAVAILABLE",
};

const MODEL_CALL = /\/models\/([^/:]+):(streamGenerateContent|generateContent)$/;

export const geminiApi: ModelWire = {
  name: "gemini",
  accepts: (method, path) => method === "POST" && MODEL_CALL.test(path),
  read: readCall,
  lookUp: (method, path) =>
    method === "POST" && path.endsWith(":countTokens") ? { totalTokens: TOKENS.input } : undefined,
};

function readCall(body: unknown, headers: IncomingHttpHeaders, path: string): ModelCall {
  const raw = asRecord(body);
  const [, model = "", action = ""] = MODEL_CALL.exec(path) ?? [];
  const config = asRecord(raw.generationConfig);
  const conversation = {
    model,
    system: textParts(asRecord(raw.systemInstruction).parts),
    messages: asArray(raw.contents).map(asRecord).map(toMessage),
    tools: asArray(raw.tools).flatMap((group) =>
      asArray(asRecord(group).functionDeclarations).map(asRecord).map(toTool),
    ),
    outputSchema: config.responseJsonSchema ?? config.responseSchema,
  };
  const voice: Voice = {
    errorBody: (code, message) => ({ error: { code, message, status: ERROR_STATUS[code] ?? "UNKNOWN" } }),
    say: (response, reply, { turnIndex }) => {
      const parts = toParts(reply);
      const common = { modelVersion: model, responseId: `resp_${turnIndex}` };
      if (action === "streamGenerateContent") stream(response, parts, common);
      else
        sendJson(response, 200, { candidates: [candidate(parts, "STOP")], usageMetadata: USAGE, ...common });
    },
  };
  return toCall(conversation, voice, { body, headers });
}

function toMessage(content: JsonRecord): Message {
  const parts = asArray(content.parts).map(asRecord);
  const results = parts.filter((part) => "functionResponse" in part).map(toResult);
  return {
    role: content.role === "model" ? "model" : "user",
    texts: textParts(parts),
    calls: parts.map((part) => asString(asRecord(part.functionCall).name)).filter((name) => name !== ""),
    ...(results.length === 0 ? {} : { results }),
  };
}

function toResult(part: JsonRecord): string {
  const response = asRecord(asRecord(part.functionResponse).response);
  return asString(response.output) || asString(response.error) || JSON.stringify(response);
}

function toTool(tool: JsonRecord): OfferedTool {
  return { name: asString(tool.name), schema: asRecord(tool.parametersJsonSchema ?? tool.parameters) };
}

function toParts(reply: Reply): readonly JsonRecord[] {
  const parts: JsonRecord[] = [];
  if (reply.reasoning !== undefined) parts.push({ text: reply.reasoning, thought: true });
  if (reply.text !== undefined) parts.push(...pieces(reply.text).map((text) => ({ text })));
  if (reply.call !== undefined) {
    parts.push({ functionCall: { name: reply.call.name, args: reply.call.arguments } });
  }
  return parts;
}

function candidate(parts: readonly JsonRecord[], finishReason?: string): JsonRecord {
  const end = finishReason === undefined ? {} : { finishReason };
  return { index: 0, content: { role: "model", parts }, ...end };
}

/** One event per part; the last one also says why the answer ended and what it cost. */
function stream(response: ServerResponse, parts: readonly JsonRecord[], common: JsonRecord): void {
  startEventStream(response);
  for (const [index, part] of parts.entries()) {
    const isLast = index === parts.length - 1;
    const event = {
      candidates: [candidate([part], isLast ? "STOP" : undefined)],
      ...(isLast ? { usageMetadata: USAGE } : {}),
      ...common,
    };
    response.write(`data: ${JSON.stringify(event)}\r\n\r\n`);
  }
  response.end();
}
