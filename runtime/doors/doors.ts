import type { IncomingMessage } from "node:http";
import { RunnerError } from "../../lib/errors.ts";
import { hostName, isLoopback, loopbackNames } from "./addresses.ts";
import { type ApiKey, type Caller, findKey, mayDo, type Scope } from "./api-keys.ts";
import { keyOf } from "./credentials.ts";
import type { RateLimit } from "./rate-limit.ts";

export interface DoorsOptions {
  /** None: this machine alone is let in, and may do everything. */
  keys: readonly ApiKey[];
  /** The name or address that the server listens on, as a Host header has it. */
  ownName: string;
  /** Names that requests may be sent to, beside that and this machine's own. Null: any with keys, no other without. */
  allowedHosts: readonly string[] | null;
  /** Origins (`https://app.example`) whose pages may use the API, beside its own. */
  allowedOrigins: readonly string[];
  /** Address at which the container's port is published; a loopback one: who comes through it is on this machine. */
  publishedAt: string | null;
  rateLimit: RateLimit | null;
}

/** What of a request the doors look at. */
export type Knock = Pick<IncomingMessage, "headers" | "method"> & {
  socket: { remoteAddress?: string | undefined; localAddress?: string | undefined };
};

export interface Doors {
  /**
   * Lets a request in that may do what needs `scope`: at once, or as a promise where a limit counts.
   * @returns whom it comes from
   * @throws RunnerError HOST_NOT_ALLOWED, ORIGIN_NOT_ALLOWED, UNAUTHORIZED, FORBIDDEN, RATE_LIMITED
   */
  admit(knock: Knock, scope: Scope): Caller | Promise<Caller>;
  readonly allowedOrigins: readonly string[];
  /** Who is let in, for the operator; a warning where that may be more than he thinks. */
  describe(): { words: string; isWarning: boolean };
}

/** Decides who is let in. What needs no door (health) does not come here. */
export function createDoors(options: DoorsOptions): Doors {
  const { keys, allowedOrigins, rateLimit } = options;
  const origins = new Set(allowedOrigins);
  const isOpen = keys.length === 0;
  const isPublishedHere = options.publishedAt !== null && isLoopback(options.publishedAt);
  // Without a key, a name that somebody else's name server gives out for 127.0.0.1 would be enough (DNS rebinding).
  const hosts =
    isOpen || options.allowedHosts !== null
      ? new Set([...loopbackNames, options.ownName.toLowerCase(), ...(options.allowedHosts ?? [])])
      : null;

  /** The last one that was let in: nearly always the next one's, too. */
  let lastHost: string | undefined;
  const checkHost = (host: string | undefined) => {
    if (hosts === null || (host !== undefined && host === lastHost)) return;
    const name = hostName(host);
    if (name === null || !hosts.has(name))
      throw new RunnerError(
        "HOST_NOT_ALLOWED",
        "This server does not answer to that name. Ask for localhost, or add the name to SKILL_RUNNER_ALLOWED_HOSTS.",
      );
    lastHost = host;
  };
  const checkOrigin = ({ headers, method }: Knock) => {
    const { origin, host, "sec-fetch-site": site, "sec-fetch-mode": mode } = headers;
    // Browsers send the first with whatever could change something, and no page can leave it out (Fetch standard, 3.2); the others
    // with all the rest (W3C Fetch Metadata). Following a link is no harm.
    const isOwn =
      origin === undefined
        ? site === undefined ||
          site === "same-origin" ||
          site === "none" ||
          (mode === "navigate" && method === "GET")
        : origins.has(origin) || (URL.canParse(origin) && new URL(origin).host === host);
    if (isOwn) return;
    throw new RunnerError(
      "ORIGIN_NOT_ALLOWED",
      "Pages of that origin may not use this server. SKILL_RUNNER_ALLOWED_ORIGINS names those that may.",
    );
  };
  const checkPlace = ({ headers, socket: { remoteAddress = "", localAddress } }: Knock) => {
    // Nobody else has an address of this machine.
    const isHere = isPublishedHere || isLoopback(remoteAddress) || remoteAddress === localAddress;
    if (isHere && remoteAddress !== "" && !isRelayed(headers)) return;
    throw new RunnerError(
      "FORBIDDEN",
      "Without API keys this server answers its own machine alone. Set SKILL_RUNNER_API_KEYS (docs/security.md).",
    );
  };
  const keyFor = (authorization: string | undefined): ApiKey => {
    const text = keyOf(authorization);
    const key = text === null ? null : findKey(keys, text);
    if (key !== null) return key;
    throw new RunnerError(
      "UNAUTHORIZED",
      text === null
        ? "Send an API key: Authorization: Bearer <key>, or Basic with the key as the password."
        : "There is no such API key.",
    );
  };
  return {
    allowedOrigins,
    admit(knock, scope) {
      const { host, authorization } = knock.headers;
      checkHost(host);
      checkOrigin(knock);
      if (isOpen) {
        checkPlace(knock);
        return null;
      }
      const key = keyFor(authorization);
      if (!mayDo(key.scope, scope))
        throw new RunnerError(
          "FORBIDDEN",
          `This needs a key with scope ${scope}; "${key.name}" has ${key.scope}.`,
        );
      const caller = { name: key.name, scope: key.scope };
      return rateLimit?.take(key.name).then(() => caller) ?? caller;
    },
    describe() {
      const names = keys.map(({ name, scope }) => `${name} (${scope})`).join(", ");
      if (!isOpen) return { words: `API keys: ${names}`, isWarning: false };
      return isPublishedHere
        ? {
            words:
              "no API keys: whoever reaches the published port, which only this machine should, may do everything",
            isWarning: true,
          }
        : { words: "no API keys: this machine alone is answered, and may do everything", isWarning: false };
    },
  };
}

/** Whether a proxy says that it passes on what somebody on another machine sent. Each proxy on the way adds its word. */
function isRelayed(headers: IncomingMessage["headers"]): boolean {
  const { "x-forwarded-for": chain, "x-real-ip": real, forwarded, via } = headers;
  if (chain === undefined && real === undefined && forwarded === undefined && via === undefined) return false;
  const told = [chain, real]
    .flatMap((value) => value?.toString().split(",") ?? [])
    .map((value) => value.trim());
  return forwarded !== undefined || via !== undefined || !told.every(isLoopback);
}
