import { describe, expect, test } from "vitest";
import { extractJson } from "./extract-json.ts";

describe("finding the JSON object in an answer", () => {
  test.each([
    ["the whole text", '  {"a": 1}\n', "none"],
    ["a fenced block", 'Here it is:\n```json\n{"a": 1}\n```\nDone.', "deterministic_generic"],
    [
      "the last of two fenced blocks",
      '```json\n{"draft": true}\n```\nBetter:\n```json\n{"a": 1}\n```',
      "deterministic_generic",
    ],
    ["an object in prose", 'The answer is {"a": 1} as asked.', "deterministic_generic"],
    ["the last object in prose", 'First {"x": 0}, finally {"a": 1}.', "deterministic_generic"],
    ["trailing commas and single quotes", "{'a': 1,}", "deterministic_generic"],
    ["a cut-off object", '{"a": 1', "deterministic_generic"],
  ])("%s", (_where, text, repair) => {
    expect(extractJson(text)).toEqual({ value: { a: 1 }, repair });
  });

  test("braces and quotes inside strings do not count", () => {
    expect(extractJson('Result: {"text": "a } \\" { b"} end')?.value).toEqual({ text: 'a } " { b' });
  });

  test.each(["", "no json here", "[1, 2]", '"text"', "42", "null"])("no object in %j", (text) => {
    expect(extractJson(text)).toBeNull();
  });

  test("hostile sizes end soon", () => {
    const started = performance.now();
    extractJson("{".repeat(200_000));
    extractJson('{"a":'.repeat(50_000));
    expect(performance.now() - started).toBeLessThan(5_000);
  });
});
