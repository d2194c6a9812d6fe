/** What the server needs to know of one vendor's API, and the small helpers all wire files share. */
import type { IncomingHttpHeaders, ServerResponse } from "node:http";
import type { ModelRequest, ModelStep } from "./script.ts";

export type JsonRecord = Readonly<Record<string, unknown>>;

export interface ModelWire {
  readonly name: string;
  /** Whether a request is a model call of this wire; `path` comes without its query. */
  accepts(method: string, path: string): boolean;
  read(body: unknown, headers: IncomingHttpHeaders, path: string): ModelCall;
  /** The answer to a request of this vendor that is no model call (a token count), if `path` is one. */
  lookUp?(method: string, path: string): unknown;
}

/** One model call, read. */
export interface ModelCall {
  readonly request: ModelRequest;
  /** The answer, when it is not the script's to give: the CLI asks on its own behalf. */
  readonly sideAnswer?: ModelStep | undefined;
  /** Writes a finished step. "delay" and "hang" never get here: waiting is the server's work. */
  write(response: ServerResponse, step: ModelStep): void;
}

/** Every answer costs this, so that a test can assert the numbers a CLI reports. Cached tokens are input, too. */
export const TOKENS = { input: 1000, cached: 100, output: 50, reasoning: 10, total: 1050 } as const;

export function asRecord(value: unknown): JsonRecord {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonRecord) : {};
}

export function asArray(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function asString(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** The texts of a content that is a string or a list of parts. */
export function textParts(content: unknown): readonly string[] {
  const texts = typeof content === "string" ? [content] : asArray(content).map(partText);
  return texts.filter((text) => text !== "");
}

function partText(part: unknown): string {
  return asString(asRecord(part).text);
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

export function startEventStream(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
}

/** A text as the pieces it is streamed in: two where it has a space to cut at, so that a CLI has to join them. */
export function pieces(text: string): readonly string[] {
  const cut = text.indexOf(" ", text.length / 2);
  return cut < 0 ? [text] : [text.slice(0, cut), text.slice(cut)];
}
