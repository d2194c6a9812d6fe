import { expect, test } from "vitest";
import { createTimeLimit, OutOfTime } from "./time-limit.ts";

const limit = createTimeLimit(200);

test("gives what a task returns, and what it throws", () => {
  expect(limit(() => 1)).toBe(1);
  expect(limit(() => undefined)).toBeUndefined();
  const error = new RangeError("no");
  expect(() =>
    limit(() => {
      throw error;
    }),
  ).toThrow(error);
});

test.each([
  ["a loop", () => forever()],
  ["a regular expression", () => /^(\w+\s?)+$/.test(`${"a".repeat(50)}!`)],
])("%s without end is ended, and the next task carried out", (_what, task) => {
  const began = performance.now();
  expect(() => limit(task)).toThrow(OutOfTime);
  expect(performance.now() - began).toBeLessThan(2_000);
  expect(limit(() => 2)).toBe(2);
});

function forever(): never {
  for (;;);
}
