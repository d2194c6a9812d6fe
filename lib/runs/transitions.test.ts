import { expect, test } from "vitest";
import { assertTransition, isTerminal, mayBecome, runStatus } from "./transitions.ts";

test("a terminal state has no way out, and every other state has a way to end", () => {
  for (const from of runStatus.options) {
    const next = runStatus.options.filter((to) => mayBecome(from, to));
    if (isTerminal(from)) expect(next).toEqual([]);
    else expect(next).toContain("canceled");
  }
});

test("an illegal step is refused", () => {
  expect(() => assertTransition("succeeded", "running")).toThrow(
    expect.objectContaining({ code: "JOB_STATE_CONFLICT" }),
  );
  expect(() => assertTransition("queued", "running")).not.toThrow();
});
