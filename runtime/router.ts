import { Hono } from "hono";
import { RunnerError } from "../lib/errors.ts";
import type { Log } from "../lib/runs/index.ts";
import { createExecutor } from "./execute.ts";
import type { Services } from "./function.ts";
import { problemResponse } from "./problem.ts";
import { methods, type Route } from "./routes.ts";

/** Mounts every route on Hono. HEAD is answered by GET; a known path with another method gets 405 and Allow. */
export function createRouter(routes: readonly Route[], services: Services, log: Log): Hono {
  const app = new Hono();
  const answer = createExecutor(log);
  for (const { method, pattern, load } of routes) {
    app.on(method, pattern, (context): Response | Promise<Response> => {
      const raw = { params: context.req.param(), request: context.req.raw, services };
      const fn = load();
      return fn instanceof Promise ? fn.then((loaded) => answer(loaded, raw)) : answer(fn, raw);
    });
  }
  app.notFound((context) => {
    const allowed = methodsOf(app, context.req.path);
    if (allowed === "") {
      const text = "There is no such endpoint. /docs shows what there is.";
      return problemResponse(new RunnerError("ROUTE_NOT_FOUND", text));
    }
    const response = problemResponse(
      new RunnerError("METHOD_NOT_ALLOWED", `This endpoint takes ${allowed}.`),
    );
    response.headers.set("allow", allowed);
    return response;
  });
  app.onError((error) => {
    log.error({ err: error }, "a request failed outside its function");
    return problemResponse(error);
  });
  return app;
}

/** Answers while the server still takes up what the last process left: its state, and that it is starting. */
export function createEarlyRouter(routes: readonly Route[], services: Services, log: Log): Hono {
  const states = routes.filter(({ pattern }) => pattern === "/healthz" || pattern === "/readyz");
  const app = createRouter(states, services, log);
  app.notFound(() => {
    const text = "The server is starting. Send the request again in a moment.";
    return problemResponse(new RunnerError("STARTING", text, { retryAfterSeconds: 1 }));
  });
  return app;
}

/** What a path may be asked with, as the Allow header says it; "" for a path that is no endpoint. */
function methodsOf(app: Hono, path: string): string {
  const found = methods.filter((method) => app.router.match(method.toUpperCase(), path)[0].length > 0);
  return found.map((method) => (method === "get" ? "GET, HEAD" : method.toUpperCase())).join(", ");
}
