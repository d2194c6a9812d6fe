import { expect, test } from "vitest";
import { parseLimits } from "./limits.ts";

test("limits are read by name, blanks and a comma too many left out", () => {
  expect([...parseLimits(" codex=2, my.skill_x-1 = 40 ,")]).toEqual([
    ["codex", 2],
    ["my.skill_x-1", 40],
  ]);
  expect(parseLimits("").size).toBe(0);
});

test.each([
  "codex",
  "codex=",
  "codex=0",
  "codex=-1",
  "codex=1.5",
  "codex=01",
  "codex=1e3",
  "codex=two",
  "=2",
])("%s is no limit", (text) => {
  expect(() => parseLimits(`gemini=1,${text}`)).toThrow(`"${text}" is not NAME=NUMBER`);
});

test.each(["codex=1=2", "a b=1", "a/b=1", "codex=2;gemini=1", "codex=9999999999"])("nor is %s", (text) => {
  expect(() => parseLimits(text)).toThrow("is not NAME=NUMBER");
});

test("a name may come once", () => {
  expect(() => parseLimits("codex=1,gemini=1,codex=1")).toThrow('"codex" is named twice');
});
