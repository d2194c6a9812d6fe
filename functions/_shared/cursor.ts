import { RunnerError } from "../../lib/errors.ts";

/** A cursor is opaque to clients: what is in it may change. */
export function encodeCursor(id: string | null): string | null {
  return id === null ? null : Buffer.from(`before:${id}`).toString("base64url");
}

/** @throws RunnerError CURSOR_INVALID */
export function decodeCursor(cursor: string | undefined): string | undefined {
  if (cursor === undefined) return undefined;
  const id = /^before:([0-7][0-9A-HJKMNP-TV-Z]{25})$/.exec(
    Buffer.from(cursor, "base64url").toString("utf8"),
  )?.[1];
  if (id !== undefined) return id;
  throw new RunnerError("CURSOR_INVALID", "The cursor is not one of ours. Start again without it.");
}
