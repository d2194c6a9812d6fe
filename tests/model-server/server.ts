/**
 * A model that says what a script tells it, served on 127.0.0.1: real agent CLIs can be run against it with
 * no network, no key and no cost, and every request they send can be looked at afterwards.
 *
 * This file is HTTP, the choice of the wire and the request log; what a vendor's API looks like is in the
 * wire files.
 */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { anthropicApi } from "./anthropic-api.ts";
import { chatApi } from "./chat-api.ts";
import { geminiApi } from "./gemini-api.ts";
import { responsesApi } from "./responses-api.ts";
import type { ModelRequest, ModelScript, ModelStep } from "./script.ts";
import { type ModelWire, sendJson } from "./wire.ts";

export type { ModelRequest, ModelScript, ModelStep, PromptRule } from "./script.ts";
export { byPrompt, bySteps } from "./script.ts";

const WIRES: readonly ModelWire[] = [responsesApi, chatApi, anthropicApi, geminiApi];

/** One request as it came in, whether or not a wire knew it. */
export interface RecordedRequest {
  readonly method: string;
  /** The path with its query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** The parsed JSON body, or the plain text when it is none. */
  readonly body: unknown;
  /** The neutral form, when it was a model call. */
  readonly model?: ModelRequest;
  /** The CLI asked on its own behalf (a title, ...), and the server answered without the script. */
  readonly isSideCall?: boolean;
  /** What the script chose to answer; absent while it is still choosing. */
  step?: ModelStep;
}

export interface ModelServer {
  /** Without a path: most CLIs want `${url}/v1`. */
  readonly url: string;
  readonly port: number;
  /** Every request so far, oldest first. */
  readonly requests: readonly RecordedRequest[];
  /** Drops all connections, hanging ones included, and frees the port. */
  close(): Promise<void>;
}

export async function startModelServer(
  script: ModelScript,
  options: { readonly port?: number } = {},
): Promise<ModelServer> {
  const requests: RecordedRequest[] = [];
  const closing = new AbortController();
  const server = createServer((request, response) => {
    answer(request, response, { script, requests, signal: closing.signal }).catch((error: unknown) => {
      // A dropped connection has nobody left to tell; a throwing script is a 500, so that the test sees it.
      if (response.headersSent || response.destroyed) response.destroy();
      else sendJson(response, 500, { error: { message: `Model script failed: ${String(error)}` } });
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    requests,
    close: async () => {
      closing.abort();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

interface Context {
  readonly script: ModelScript;
  readonly requests: RecordedRequest[];
  readonly signal: AbortSignal;
}

async function answer(request: IncomingMessage, response: ServerResponse, context: Context): Promise<void> {
  const method = request.method ?? "GET";
  const target = request.url ?? "/";
  const path = target.split("?", 1)[0] ?? "/";
  const body = parseBody(await readBody(request));
  const common = { method, path: target, headers: request.headers, body };

  const wire = WIRES.find((candidate) => candidate.accepts(method, path));
  if (wire === undefined) {
    context.requests.push(common);
    answerUnscripted(request, response, path);
    return;
  }

  const call = wire.read(body, request.headers, path);
  const isSideCall = call.sideAnswer !== undefined;
  const recorded: RecordedRequest = { ...common, model: call.request, ...(isSideCall ? { isSideCall } : {}) };
  context.requests.push(recorded);
  recorded.step = call.sideAnswer ?? (await context.script(call.request));
  const step = await waitThrough(recorded.step, context.signal);
  if (step.kind !== "hang") call.write(response, step);
}

/** What CLIs ask for besides model calls. */
function answerUnscripted(request: IncomingMessage, response: ServerResponse, path: string): void {
  const lookedUp = WIRES.map((wire) => wire.lookUp?.(request.method ?? "GET", path));
  const known = lookedUp.find((body) => body !== undefined);
  if (request.headers.upgrade !== undefined) {
    // Codex's built-in provider tries a WebSocket first and takes this status as "use plain HTTP".
    sendJson(response, 426, { error: { message: "No WebSocket here; use plain HTTP." } });
  } else if (known !== undefined) {
    sendJson(response, 200, known);
  } else if (request.method === "GET" && path.endsWith("/models")) {
    sendJson(response, 200, emptyModelList());
  } else {
    sendJson(response, 404, { error: { message: `No scripted answer for ${request.method} ${path}` } });
  }
}

async function waitThrough(step: ModelStep, signal: AbortSignal): Promise<ModelStep> {
  let current = step;
  while (current.kind === "delay") {
    await sleep(current.ms, undefined, { signal });
    current = current.next;
  }
  return current;
}

/** OpenAI's list form (`data`) and codex's own (`models`) at once; empty, so every CLI keeps its defaults. */
function emptyModelList(): unknown {
  return { object: "list", data: [], models: [] };
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

function parseBody(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
