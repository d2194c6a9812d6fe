import { Hono } from "hono";
import { cors } from "hono/cors";
import { RunnerError } from "../lib/errors.ts";
import type { Log } from "../lib/runs/index.ts";
import type { Caller } from "./doors/api-keys.ts";
import type { Doors } from "./doors/doors.ts";
import { createRefusalLog } from "./doors/refusal-log.ts";
import { createExecutor } from "./execute.ts";
import type { RunnerFunction, Services } from "./function.ts";
import { problemResponse } from "./problem.ts";
import { methods, type Route } from "./routes.ts";
import type { ServerBindings } from "./server.ts";

export interface RouterOptions {
  routes: readonly Route[];
  services: Services;
  doors: Doors;
  log: Log;
}

type App = Hono<{ Bindings: ServerBindings }>;

/** Mounts every route on Hono, each behind the doors. HEAD is answered by GET; a known path with another method gets 405 and Allow. */
export function createRouter(options: RouterOptions): App {
  return shared(options.doors.allowedOrigins, mount(options));
}

function mount({ routes, services, doors, log }: RouterOptions): App {
  const app: App = new Hono();
  const answer = createExecutor(log);
  const refused = createRefusalLog(log);
  for (const { method, pattern, load } of routes) {
    app.on(method, pattern, (context): Response | Promise<Response> => {
      const answered = (fn: RunnerFunction, caller: Caller) =>
        answer(fn, { params: context.req.param(), request: context.req.raw, caller, services });
      const admitted = (fn: RunnerFunction) => {
        const caller = fn.scope === "open" ? null : doors.admit(context.env.incoming, fn.scope);
        return caller instanceof Promise ? caller.then((known) => answered(fn, known)) : answered(fn, caller);
      };
      const fn = load();
      return fn instanceof Promise ? fn.then(admitted) : admitted(fn);
    });
  }
  app.notFound(async (context) => {
    // Who may not come in is not told what there is.
    await doors.admit(context.env.incoming, "read");
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
  app.onError((error, { env, req }) => {
    // What functions throw does not come here.
    if (error instanceof RunnerError) {
      const peer = env.incoming.socket.remoteAddress;
      refused({ code: error.code, peer, method: req.method, path: req.path });
    } else log.error({ err: error }, "a request failed outside its function");
    return problemResponse(error);
  });
  return app;
}

/** Lets pages of these origins read the answers (Fetch standard, 3.3); preflights are answered here, before the doors. */
function shared(origins: readonly string[], app: App): App {
  if (origins.length === 0) return app;
  const share = cors({
    origin: [...origins],
    allowMethods: methods.map((method) => method.toUpperCase()),
    allowHeaders: [
      "authorization",
      "content-type",
      "idempotency-key",
      "if-none-match",
      "if-range",
      "last-event-id",
      "prefer",
      "range",
    ],
    exposeHeaders: [
      "content-disposition",
      "content-range",
      "etag",
      "location",
      "preference-applied",
      "retry-after",
    ],
    maxAge: 600,
  });
  const outer: App = new Hono();
  outer.use(async (context, next) => {
    const isPreflight = context.req.header("access-control-request-method") !== undefined;
    if (context.req.method === "OPTIONS" && !isPreflight) return next();
    return share(context, next);
  });
  outer.all("*", (context) => app.fetch(context.req.raw, context.env));
  return outer;
}

/** Answers while the server still takes up what the last process left: its state, and that it is starting. */
export function createEarlyRouter({ routes, ...parts }: RouterOptions): App {
  const states = routes.filter(({ pattern }) => pattern === "/healthz" || pattern === "/readyz");
  const app = mount({ routes: states, ...parts });
  app.notFound(() => {
    const text = "The server is starting. Send the request again in a moment.";
    return problemResponse(new RunnerError("STARTING", text, { retryAfterSeconds: 1 }));
  });
  return shared(parts.doors.allowedOrigins, app);
}

/** What a path may be asked with, as the Allow header says it; "" for a path that is no endpoint. */
function methodsOf(app: App, path: string): string {
  const found = methods.filter((method) => app.router.match(method.toUpperCase(), path)[0].length > 0);
  return found.map((method) => (method === "get" ? "GET, HEAD" : method.toUpperCase())).join(", ");
}
