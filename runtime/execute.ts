import { RunnerError } from "../lib/errors.ts";
import type { Log } from "../lib/runs/index.ts";
import type { RawCall, RunnerFunction } from "./function.ts";
import { problemResponse } from "./problem.ts";

/** Calls a function and says its answer, or its error, in HTTP. Never rejects. */
export async function execute(fn: RunnerFunction, raw: RawCall, log: Log): Promise<Response> {
  try {
    const answer = await fn.call(raw);
    if (answer instanceof Response) {
      // The router drops the body for HEAD: whoever makes it must hear of that, or its file would stay open.
      if (raw.request.method === "HEAD") await answer.body?.cancel();
      return answer;
    }
    const status = fn.status ?? 200;
    if (answer === undefined) return new Response(null, { status: fn.status ?? 204 });
    return new Response(JSON.stringify(answer), { status, headers: { "content-type": "application/json" } });
  } catch (error) {
    const unexpected = !(error instanceof RunnerError);
    if (unexpected || error.code === "STORAGE_FAILED") {
      log.error(
        { err: error, method: raw.request.method, path: new URL(raw.request.url).pathname },
        "a request failed",
      );
    }
    return problemResponse(error);
  }
}
