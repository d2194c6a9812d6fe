import type { IncomingMessage } from "node:http";
import { RunnerError } from "../../lib/errors.ts";
import { hostName, isLoopback, loopbackNames } from "./addresses.ts";
import { type ApiKey, findKey, mayDo, type Scope } from "./api-keys.ts";
import { keyOf } from "./credentials.ts";
import type { RateLimit } from "./rate-limit.ts";

export interface DoorsOptions {
  /** None: this machine alone is let in, and may do everything. */
  keys: readonly ApiKey[];
  /** Names that requests may be sent to, beside this machine's own. Null: any with keys, no other without. */
  allowedHosts: readonly string[] | null;
  /** Origins (`https://app.example`) whose pages may use the API, beside its own. */
  allowedOrigins: readonly string[];
  /** Address at which the container's port is published; a loopback one: who comes through it is on this machine. */
  publishedAt: string | null;
  rateLimit: RateLimit | null;
}

/** What of a request the doors look at. */
export type Knock = Pick<IncomingMessage, "headers"> & { socket: { remoteAddress?: string | undefined } };

export interface Doors {
  /**
   * Lets a request in that may do what needs `scope`: at once, or as a promise where a limit counts.
   * @throws RunnerError HOST_NOT_ALLOWED, ORIGIN_NOT_ALLOWED, UNAUTHORIZED, FORBIDDEN, RATE_LIMITED
   */
  admit(knock: Knock, scope: Scope): void | Promise<void>;
  readonly allowedOrigins: readonly string[];
  /** Who is let in, for the operator. */
  describe(): string;
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
      ? new Set([...loopbackNames, ...(options.allowedHosts ?? [])])
      : null;

  const checkHost = (host: string | undefined) => {
    const name = hostName(host);
    if (hosts === null || (name !== null && hosts.has(name))) return;
    throw new RunnerError(
      "HOST_NOT_ALLOWED",
      "This server does not answer to that name. Ask for localhost, or add the name to SKILL_RUNNER_ALLOWED_HOSTS.",
    );
  };
  // Browsers send it with whatever could change something, and no page can leave it out (Fetch standard, 3.2).
  const checkOrigin = (origin: string | undefined, host: string | undefined) => {
    if (
      origin === undefined ||
      origins.has(origin) ||
      (URL.canParse(origin) && new URL(origin).host === host)
    )
      return;
    throw new RunnerError(
      "ORIGIN_NOT_ALLOWED",
      "Pages of that origin may not use this server. SKILL_RUNNER_ALLOWED_ORIGINS names those that may.",
    );
  };
  const checkPlace = ({ headers, socket }: Knock) => {
    const from = headers["x-forwarded-for"]?.toString().split(",")[0]?.trim();
    const isHere = isPublishedHere || isLoopback(socket.remoteAddress ?? "");
    if (isHere && (from === undefined || isLoopback(from))) return;
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
      const { host, origin, authorization } = knock.headers;
      checkHost(host);
      checkOrigin(origin, host);
      if (isOpen) return checkPlace(knock);
      const key = keyFor(authorization);
      if (!mayDo(key.scope, scope))
        throw new RunnerError(
          "FORBIDDEN",
          `This needs a key with scope ${scope}; "${key.name}" has ${key.scope}.`,
        );
      return rateLimit?.take(key.name);
    },
    describe() {
      if (!isOpen) return `API keys: ${keys.map(({ name, scope }) => `${name} (${scope})`).join(", ")}`;
      return isPublishedHere
        ? "no API keys: whoever reaches the published port, which only this machine should, may do everything"
        : "no API keys: this machine alone is answered, and may do everything";
    },
  };
}
