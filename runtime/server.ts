import { type Http2Bindings, type HttpBindings, type ServerType, serve } from "@hono/node-server";

export interface ListeningServer {
  /** The port in use: the one asked for, or the free one taken for 0. */
  port: number;
  /** Takes no new connection; resolves when the open ones have ended or after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** What Node has of a request and its answer. */
export type ServerBindings = HttpBindings | Http2Bindings;
export type Answer = (request: Request, env: ServerBindings) => Response | Promise<Response>;

export interface ListenOptions {
  host: string;
  port: number;
  /** Milliseconds a request may take to arrive, its body included; slower ones get 408. Its headers get at most 20 s of it. */
  requestTimeoutMs: number;
}

const headersTimeoutMs = 20_000;

/** Listens. @throws the system's error (EADDRINUSE, EACCES ...) when the address cannot be had */
export async function listen(
  answer: Answer,
  { host, port, requestTimeoutMs }: ListenOptions,
): Promise<ListeningServer> {
  const server = await new Promise<ServerType>((resolve, reject) => {
    const fetch = (request: Request, env: ServerBindings) => {
      endUnreadBody(env);
      return answer(request, env);
    };
    const serverOptions = {
      requestTimeout: requestTimeoutMs,
      headersTimeout: Math.min(headersTimeoutMs, requestTimeoutMs),
      // How often Node looks for such requests; thirty seconds is its own choice.
      connectionsCheckingInterval: Math.min(5_000, requestTimeoutMs),
    };
    const starting = serve({ fetch, hostname: host, port, serverOptions }, () => resolve(starting));
    starting.once("error", reject);
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : port,
    async close(graceMs) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      if ("closeIdleConnections" in server) server.closeIdleConnections();
      const force = setTimeout(() => {
        if ("closeAllConnections" in server) server.closeAllConnections();
      }, graceMs);
      await closed;
      clearTimeout(force);
    },
  };
}

/** Closes the connection behind the answer to a GET or HEAD that brings a body: nobody reads it, and it may go on for long. */
function endUnreadBody({ incoming, outgoing }: ServerBindings): void {
  if (incoming.method !== "GET" && incoming.method !== "HEAD") return;
  const { "content-length": length = "0", "transfer-encoding": coding } = incoming.headers;
  if (length === "0" && coding === undefined) return;
  outgoing.setHeader("connection", "close");
}
