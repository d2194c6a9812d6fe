import { Hono } from "hono";
import { RunnerError } from "../lib/errors.ts";
import type { Log } from "../lib/runs/index.ts";
import { execute } from "./execute.ts";
import type { Services } from "./function.ts";
import { problemResponse } from "./problem.ts";
import type { Route } from "./routes.ts";

/** Mounts every route on Hono. HEAD is answered by GET; a known path with another method gets 405 and Allow. */
export function createRouter(routes: readonly Route[], services: Services, log: Log): Hono {
  const app = new Hono();
  for (const { method, pattern, load } of routes) {
    app.on(method, pattern, async (context) =>
      execute(await load(), { params: context.req.param(), request: context.req.raw, services }, log),
    );
  }
  for (const [pattern, allow] of allowedMethods(routes)) {
    app.all(pattern, () => {
      const response = problemResponse(
        new RunnerError("METHOD_NOT_ALLOWED", `This endpoint takes ${allow}.`),
      );
      response.headers.set("allow", allow);
      return response;
    });
  }
  app.notFound(() =>
    problemResponse(
      new RunnerError("ROUTE_NOT_FOUND", "There is no such endpoint. /docs shows what there is."),
    ),
  );
  app.onError((error) => {
    log.error({ err: error }, "a request failed outside its function");
    return problemResponse(error);
  });
  return app;
}

function allowedMethods(routes: readonly Route[]): Map<string, string> {
  const allowed = new Map<string, string>();
  for (const { method, pattern } of routes) {
    const name = method === "get" ? "GET, HEAD" : method.toUpperCase();
    const before = allowed.get(pattern);
    allowed.set(pattern, before === undefined ? name : `${before}, ${name}`);
  }
  return allowed;
}
