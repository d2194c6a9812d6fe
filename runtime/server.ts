import { type ServerType, serve } from "@hono/node-server";
import type { Hono } from "hono";

export interface ListeningServer {
  /** The port in use: the one asked for, or the free one taken for 0. */
  port: number;
  /** Takes no new connection; resolves when the open ones have ended or after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** Answers requests; what comes behind the request is Hono's own. */
export type Answer = (...request: Parameters<Hono["fetch"]>) => Response | Promise<Response>;

/** Listens. @throws the system's error (EADDRINUSE, EACCES ...) when the address cannot be had */
export async function listen(answer: Answer, host: string, port: number): Promise<ListeningServer> {
  const server = await new Promise<ServerType>((resolve, reject) => {
    const starting = serve({ fetch: answer, hostname: host, port }, () => resolve(starting));
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
