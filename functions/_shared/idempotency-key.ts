import { RunnerError } from "../../lib/errors.ts";

/**
 * The key of a request's `Idempotency-Key` header, quoted or not (draft-ietf-httpapi-idempotency-key-header-07).
 * @throws RunnerError REQUEST_INVALID for one that is empty, too long, or has control characters
 */
export function idempotencyKey(request: Request): string | undefined {
  const header = request.headers.get("idempotency-key");
  if (header === null) return undefined;
  const key = header.trim().replace(/^"(.*)"$/, "$1");
  if (/^[\x20-\x7e]{1,255}$/.test(key)) return key;
  throw new RunnerError("REQUEST_INVALID", "The header Idempotency-Key cannot be used.", {
    issues: [{ pointer: "/header/idempotency-key", message: "must be 1 to 255 printable ASCII characters" }],
  });
}
