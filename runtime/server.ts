import { type Http2Bindings, type HttpBindings, type ServerType, serve } from "@hono/node-server";

export interface ListeningServer {
  /** The port in use, on all addresses: the one asked for, or the free one taken for 0. */
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
/** Free ports that are tried for port 0. */
const mostTries = 10;
const notHere = ["EADDRNOTAVAIL", "EAFNOSUPPORT"];

/**
 * Where to listen for this HOST. On this machine's own address, on both of them: `localhost` means ::1 to one program and 127.0.0.1
 * to another, and an agent that listened on the one the server left would be sent the keys of its callers. What 0.0.0.0 leaves
 * free of IPv6 is more than was asked for, but for the one that `localhost` means.
 */
function addressesOf(host: string): readonly [string, ...string[]] {
  if (host === "127.0.0.1" || host === "localhost") return ["127.0.0.1", "::1"];
  if (host === "::1") return ["::1", "127.0.0.1"];
  if (host === "0.0.0.0") return ["0.0.0.0", "::1"];
  return [host];
}

/**
 * Listens on the addresses that `host` stands for, all on one port; one that this machine does not have (there may be no IPv6) is left out.
 * @throws the system's error (EADDRINUSE, EACCES ...) when one cannot be had: somebody else would get what is sent there
 */
export async function listen(answer: Answer, options: ListenOptions): Promise<ListeningServer> {
  const fetch = (request: Request, env: ServerBindings) => {
    endUnreadBody(env);
    return answer(request, env);
  };
  for (let tries = 1; ; tries++) {
    const servers: Opened[] = [];
    let missing: unknown;
    try {
      for (const address of addressesOf(options.host)) {
        const port = servers[0]?.port ?? options.port;
        await open(fetch, address, port, options.requestTimeoutMs).then(
          (opened) => servers.push(opened),
          (error: unknown) => {
            if (!isNotHere(error)) throw error;
            missing = error;
          },
        );
      }
      const [first] = servers;
      if (first === undefined) throw missing;
      return {
        port: first.port,
        close: async (graceMs) =>
          void (await Promise.all(servers.map(({ server }) => close(server, graceMs)))),
      };
    } catch (error) {
      await Promise.all(servers.map(({ server }) => close(server, 0)));
      // A port that was free on the first address may be another's on the second.
      if (options.port !== 0 || servers.length === 0 || tries === mostTries) throw error;
    }
  }
}

interface Opened {
  server: ServerType;
  port: number;
}

function open(fetch: Answer, hostname: string, port: number, requestTimeoutMs: number): Promise<Opened> {
  return new Promise((resolve, reject) => {
    const serverOptions = {
      requestTimeout: requestTimeoutMs,
      headersTimeout: Math.min(headersTimeoutMs, requestTimeoutMs),
      // How often Node looks for such requests; thirty seconds is its own choice.
      connectionsCheckingInterval: Math.min(5_000, requestTimeoutMs),
    };
    const server = serve({ fetch, hostname, port, serverOptions }, (info) =>
      resolve({ server, port: info.port }),
    );
    server.once("error", reject);
  });
}

/** The machine has no such address: then nobody else can listen there either. */
function isNotHere(error: unknown): boolean {
  return error instanceof Error && "code" in error && notHere.includes(String(error.code));
}

async function close(server: ServerType, graceMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  if ("closeIdleConnections" in server) server.closeIdleConnections();
  const force = setTimeout(() => {
    if ("closeAllConnections" in server) server.closeAllConnections();
  }, graceMs);
  await closed;
  clearTimeout(force);
}

/** Closes the connection behind the answer to a GET or HEAD that brings a body: nobody reads it, and it may go on for long. */
function endUnreadBody({ incoming, outgoing }: ServerBindings): void {
  if (incoming.method !== "GET" && incoming.method !== "HEAD") return;
  const { "content-length": length = "0", "transfer-encoding": coding } = incoming.headers;
  if (length === "0" && coding === undefined) return;
  outgoing.setHeader("connection", "close");
}
