import { z } from "zod";
import { parseJson } from "../../json.ts";
import type { FailureKind } from "../events.ts";
import { saysUnauthorized } from "../unauthorized.ts";

/** The turn is over because something cannot be done; `kind` and the message are what it failed of. */
export class TurnFailed extends Error {
  readonly kind: FailureKind;
  constructor(kind: FailureKind, message: string) {
    super(message);
    this.kind = kind;
  }
}

/** An error as JSON-RPC carries it. */
const rpcError = z.object({ code: z.number(), message: z.string(), data: z.unknown().optional() });
const details = z.object({ details: z.string() });
const wrapped = z.object({ error: z.object({ message: z.string() }) });

/** The protocol's own code for "authenticate first". */
const authRequired = -32000;
/** JSON-RPC's codes for a message it cannot read, that is no request, has no such method or has wrong parameters. */
const misreadCodes = [-32700, -32600, -32601, -32602];

const authText =
  /unauthenticated|(incorrect|invalid|missing) api[ _]key|api key is missing|authentication required|not logged in/i;

function saysUnauthenticated(message: string): boolean {
  return saysUnauthorized(message) || authText.test(message);
}

/**
 * Waits for the answer to a request.
 * @param kind what it is a failure of when the CLI answers with an error, unless it is one of authentication
 * @param misread what it is a failure of when the CLI says that it cannot read the request
 * @throws TurnFailed when it does; anything else as it is
 */
export async function asked<T>(answer: Promise<T>, kind: FailureKind, misread = kind): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw requestFailure(error, kind, misread) ?? error;
  }
}

/**
 * What a CLI answered, in the shape it must have.
 * @throws Error naming the request and what is wrong with the answer
 */
export function readAnswer<T>(method: string, shape: z.ZodType<T>, answer: unknown): T {
  const parsed = shape.safeParse(answer);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = issue === undefined || issue.path.length === 0 ? "" : ` (${issue.path.join("/")})`;
  throw new Error(`its answer to ${method} cannot be used${where}: ${issue?.message ?? "unknown reason"}`);
}

/** Whether the CLI wants to be authenticated with first. */
export function wantsAuthentication(error: unknown): boolean {
  return rpcError.safeParse(error).data?.code === authRequired;
}

function requestFailure(error: unknown, kind: FailureKind, misread: FailureKind): TurnFailed | null {
  const parsed = rpcError.safeParse(error);
  if (!parsed.success) return null;
  const { code, data } = parsed.data;
  const more = details.safeParse(data).data?.details;
  const said = wrapped.safeParse(parseJson(parsed.data.message)).data?.error.message ?? parsed.data.message;
  const message = more === undefined ? said : `${said}: ${more}`;
  if ([authRequired, 401, 403].includes(code) || saysUnauthenticated(message)) {
    return new TurnFailed("auth", message);
  }
  return new TurnFailed(misreadCodes.includes(code) ? misread : kind, message);
}

/** The line in what a CLI left on stderr that says it is not logged in, or null. */
export function explainAcpStderr(stderr: string) {
  const line = stderr.split("\n").findLast((text) => saysUnauthenticated(text));
  if (line === undefined) return null;
  return { type: "failure" as const, kind: "auth" as const, message: line.trim().slice(0, 500) };
}
