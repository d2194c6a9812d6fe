import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createRefusalLog } from "./refusal-log.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test("one line, then how many more there were within a second, also when nobody comes any more", () => {
  const lines: object[] = [];
  const log = { info() {}, error() {}, warn: (fields: object) => lines.push(fields) };
  const tell = createRefusalLog(log);
  const refusal = { code: "UNAUTHORIZED", peer: "10.0.0.7", method: "GET", path: "/v1/jobs" };
  for (let n = 0; n < 500; n++) tell(refusal);
  expect(lines).toEqual([refusal]);
  vi.advanceTimersByTime(1_000);
  expect(lines).toEqual([refusal, { more: 499 }]);
  vi.advanceTimersByTime(5_000);
  tell({ ...refusal, path: `/${"x".repeat(10_000)}` });
  expect(JSON.stringify(lines[2]).length).toBeLessThan(400);
  vi.advanceTimersByTime(5_000);
  expect(lines).toHaveLength(3);
});
