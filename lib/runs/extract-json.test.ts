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

  test("a fence of more than three, with white space behind it", () => {
    expect(extractJson('So:\n````json \n  {"a": 1}\n````\n')?.value).toEqual({ a: 1 });
  });

  // What a skill's result file may be at most, and what mending is tried on.
  const sizes = [16 * 1024 * 1024, 1_000_000];
  test.each([
    ["", "", "```\n"],
    ["", "```", "\n"],
    ["x", "```", "\n"],
    ["", "```", " "],
    ["", "```", "a"],
    ["", "", "`"],
    ["", "", "{"],
    ["", "", "{}"],
    ["", "", "{x}"],
    ["", "", "{]}"],
    ["", "{", '"'],
    ["", '{"a', '" '],
    ["", "{a:[", "1 "],
    ["", "{a:", "``` "],
    ["", "", '{"a":'],
    ["", "", "[{"],
    ["", '{"a":[1', ",1"],
  ])("an answer of %j%j and no end of %j is read soon", (end, begin, part) => {
    for (const size of sizes) {
      const text = begin + part.repeat(size / part.length) + end;
      const began = performance.now();
      extractJson(text);
      expect(performance.now() - began).toBeLessThan(4_000);
    }
  });
});
