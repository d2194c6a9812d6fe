import { expect, test } from "vitest";
import { decodeCursor, encodeCursor } from "./cursor.ts";

const id = "01M87DK8E7XJ2AH58R08D43THF";

test("a cursor leads back to the job it was made from; there is none at the end", () => {
  expect(decodeCursor(encodeCursor(id) ?? "")).toBe(id);
  expect(encodeCursor(null)).toBeNull();
  expect(decodeCursor(undefined)).toBeUndefined();
  expect(encodeURIComponent(encodeCursor(id) ?? "")).toBe(encodeCursor(id));
});

test.each(["", "%", id, `before:${id}`, ...[id.toLowerCase(), `${id}0`, `${id}\n`, "../x", ""].map(forged)])(
  "%j is no cursor of ours",
  (cursor) => {
    expect(() => decodeCursor(cursor)).toThrow(expect.objectContaining({ code: "CURSOR_INVALID" }));
  },
);

function forged(of: string): string {
  return Buffer.from(`before:${of}`).toString("base64url");
}
