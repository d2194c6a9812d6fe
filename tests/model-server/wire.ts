/** What the server needs to know of one vendor's API, and the small helpers all wire files share. */
import type { IncomingHttpHeaders, ServerResponse } from "node:http";
import type { ModelRequest, ModelStep } from "./script.ts";

export type JsonRecord = Readonly<Record<string, unknown>>;

export interface ModelWire {
  readonly name: string;
  /** Whether a request belongs to this wire; `path` comes without its query. */
  accepts(method: string, path: string): boolean;
  read(body: unknown, headers: IncomingHttpHeaders, path: string): ModelRequest;
  /** Writes a finished step. "delay" and "hang" never get here: waiting is the server's work. */
  write(response: ServerResponse, step: ModelStep, request: ModelRequest): void;
}

export function asRecord(value: unknown): JsonRecord {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonRecord) : {};
}

export function asArray(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function asString(value: unknown): string {
  return typeof value === "string" ? value : "";
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}
