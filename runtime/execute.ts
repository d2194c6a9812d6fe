import { RunnerError } from "../lib/errors.ts";
import type { Log } from "../lib/runs/index.ts";
import { secured, securityHeaders } from "./doors/security-headers.ts";
import type { RawCall, RunnerFunction } from "./function.ts";
import { problemResponse } from "./problem.ts";

const jsonHeaders = Object.freeze({ "content-type": "application/json", ...securityHeaders });

export type Executor = (fn: RunnerFunction, raw: RawCall) => Response | Promise<Response>;

/**
 * Builds what calls a function and says its answer, or its error, in HTTP. An executor never throws or rejects, and
 * answers at once where the function does: what is known already need not wait its turn.
 */
export function createExecutor(log: Log): Executor {
  // A frozen answer never changes, so its text is made once: a job's status is asked for far more often than it changes.
  const texts = new WeakMap<object, string>();
  return (fn, raw) => {
    const fail = (error: unknown) => {
      if (!(error instanceof RunnerError) || error.code === "STORAGE_FAILED") {
        const { method, url } = raw.request;
        log.error({ err: error, method, path: new URL(url).pathname }, "a request failed");
      }
      return problemResponse(error);
    };
    try {
      const answer = fn.call(raw);
      if (!(answer instanceof Promise)) return say(fn, answer, raw.request, texts);
      return answer.then((told) => say(fn, told, raw.request, texts)).catch(fail);
    } catch (error) {
      return fail(error);
    }
  };
}

function say(
  fn: RunnerFunction,
  answer: unknown,
  request: Request,
  texts: WeakMap<object, string>,
): Response | Promise<Response> {
  if (answer instanceof Response) {
    const { body, status, headers } = secured(answer);
    if (request.method !== "HEAD" || body === null) return answer;
    // The router drops the body for HEAD: whoever makes it must hear of that, or its file would stay open.
    return body.cancel().then(() => new Response(null, { status, headers }));
  }
  if (answer === undefined) return new Response(null, { status: fn.status ?? 204, headers: securityHeaders });
  return new Response(textOf(answer, texts), { status: fn.status ?? 200, headers: jsonHeaders });
}

function textOf(answer: unknown, texts: WeakMap<object, string>): string {
  if (typeof answer !== "object" || answer === null || !Object.isFrozen(answer))
    return JSON.stringify(answer);
  const known = texts.get(answer);
  if (known !== undefined) return known;
  const text = JSON.stringify(answer);
  texts.set(answer, text);
  return text;
}
