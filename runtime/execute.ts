import { RunnerError } from "../lib/errors.ts";
import type { Log } from "../lib/runs/index.ts";
import type { RawCall, RunnerFunction } from "./function.ts";
import { problemResponse } from "./problem.ts";

export type Executor = (fn: RunnerFunction, raw: RawCall) => Promise<Response>;

/** Builds what calls a function and says its answer, or its error, in HTTP. An executor never rejects. */
export function createExecutor(log: Log): Executor {
  // A frozen answer never changes, so its text is made once: a job's status is asked for far more often than it changes.
  const texts = new WeakMap<object, string>();
  return async (fn, raw) => {
    try {
      return await say(fn, await fn.call(raw), raw.request, texts);
    } catch (error) {
      if (!(error instanceof RunnerError) || error.code === "STORAGE_FAILED") {
        const { method, url } = raw.request;
        log.error({ err: error, method, path: new URL(url).pathname }, "a request failed");
      }
      return problemResponse(error);
    }
  };
}

async function say(
  fn: RunnerFunction,
  answer: unknown,
  request: Request,
  texts: WeakMap<object, string>,
): Promise<Response> {
  if (answer instanceof Response) {
    // The router drops the body for HEAD: whoever makes it must hear of that, or its file would stay open.
    if (request.method === "HEAD") await answer.body?.cancel();
    return answer;
  }
  if (answer === undefined) return new Response(null, { status: fn.status ?? 204 });
  return new Response(textOf(answer, texts), {
    status: fn.status ?? 200,
    headers: { "content-type": "application/json" },
  });
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
