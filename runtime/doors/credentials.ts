/**
 * The key that an Authorization header carries: as Bearer (RFC 6750), or as the password of Basic (RFC 7617, for browsers; any
 * user name). Null: none, or in a form we do not know.
 */
export function keyOf(authorization: string | undefined): string | null {
  const match = /^(\w+) +(\S+) *$/.exec(authorization ?? "");
  const scheme = match?.[1]?.toLowerCase();
  const value = match?.[2];
  if (value === undefined) return null;
  if (scheme === "bearer") return value;
  if (scheme !== "basic") return null;
  const pair = Buffer.from(value, "base64").toString("utf8");
  const colon = pair.indexOf(":");
  return colon < 0 ? null : pair.slice(colon + 1);
}
