import type { Caller } from "./doors/api-keys.ts";
import { createExecutor } from "./execute.ts";
import type { RunnerFunction, Services } from "./function.ts";

export interface Invocation {
  services: Services;
  params?: Record<string, string>;
  query?: Record<string, string>;
  /** Sent as JSON, unless it is a body already. */
  body?: unknown;
  headers?: Record<string, string>;
  /** The key that it is as if it came with. */
  caller?: Caller;
  method?: string;
}

/** Calls one function as HTTP would, without a server: same checks, same answers. For its test. */
export async function invoke(
  fn: RunnerFunction,
  { services, params = {}, query, body, headers, caller, method }: Invocation,
): Promise<Response> {
  const url = `http://localhost/?${new URLSearchParams(query)}`;
  const isReady =
    body instanceof FormData ||
    body instanceof Blob ||
    body instanceof Uint8Array ||
    typeof body === "string";
  const request = new Request(url, {
    method: method ?? (body === undefined ? "GET" : "POST"),
    headers: {
      ...(body === undefined || body instanceof FormData || isReady
        ? {}
        : { "content-type": "application/json" }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: isReady ? body : JSON.stringify(body) }),
  });
  const silent = { info() {}, warn() {}, error() {} };
  return createExecutor(silent)(fn, { params, request, caller: caller ?? null, services });
}
