import { describe, expect, it } from "vitest";
import { skillWith } from "./fixtures.test-support.ts";
import { createSchemaValidator } from "./schema-validator.ts";
import { createValidators, validateInlineInput } from "./validation.ts";

describe("createSchemaValidator", () => {
  const validate = createSchemaValidator({
    $schema: "http://json-schema.org/draft-07/schema#",
    type: "object",
    properties: {
      a: { type: "string", format: "date" },
      "b/c": { type: "object", properties: { n: { type: "integer", minimum: 1 } }, required: ["n"] },
      list: { type: "array", items: { enum: ["x", "y"] }, minItems: 1 },
    },
    required: ["a"],
    additionalProperties: false,
  });

  it("says nothing about a good value", () => {
    expect(validate({ a: "2026-01-01", "b/c": { n: 1 }, list: ["x"] })).toEqual([]);
  });

  it.each([
    [{}, "/a", "is required"],
    [{ a: 1 }, "/a", "must be a string"],
    [{ a: "soon" }, "/a", "must be a valid date"],
    [{ a: "2026-01-01", z: 1 }, "/z", "is not a known property; known: a, b/c, list"],
    [{ a: "2026-01-01", "b/c": {} }, "/b~1c/n", "is required"],
    [{ a: "2026-01-01", "b/c": { n: 1.5 } }, "/b~1c/n", "must be an integer"],
    [{ a: "2026-01-01", "b/c": { n: 0 } }, "/b~1c/n", "must be at least 1"],
    [{ a: "2026-01-01", list: ["q"] }, "/list/0", 'must be one of "x", "y"'],
    [{ a: "2026-01-01", list: [] }, "/list", "must have at least 1 item"],
    [[], "", "must be an object"],
  ])("points at what is wrong with %j", (value, pointer, message) => {
    expect(validate(value)).toEqual([{ pointer, message }]);
  });

  it.each([
    ["a pattern", { type: "string", pattern: "^(\\w+\\s?)+$" }, `${"a".repeat(60)}!`],
    ["unique items", { type: "array", uniqueItems: true }, Array.from({ length: 200_000 }, (_, n) => n)],
    [
      "a schema that calls itself",
      {
        $defs: {
          t: { anyOf: [{ $ref: "#/$defs/u" }, { $ref: "#/$defs/u" }] },
          u: { not: { properties: { a: { $ref: "#/$defs/t" } }, required: ["a"] } },
        },
        $ref: "#/$defs/t",
      },
      Array.from({ length: 60 }).reduce<unknown>((a) => ({ a }), {}),
    ],
  ])("gives up soon on %s that would take for ever", (_what, schema, value) => {
    const began = performance.now();
    expect(createSchemaValidator(schema)(value)).toEqual([
      {
        pointer: "",
        message:
          "cannot be checked by the schema within 1 s: make the value smaller, or the schema's patterns simpler",
      },
    ]);
    expect(performance.now() - began).toBeLessThan(5_000);
  });

  it("keeps what it says short enough for a prompt", () => {
    expect(validate({ list: Array.from({ length: 1000 }, () => 0) }).length).toBeLessThanOrEqual(50);
  });
});

describe("validateInlineInput", () => {
  const input = {
    type: "object",
    properties: {
      text: { type: "string", "x-input-source": "inline" },
      source: { type: "string", pattern: "never", extensions: ["md"] },
    },
    required: ["text", "source"],
  };

  it("asks for inline inputs only, and closes the object", async () => {
    const skill = await skillWith({ input });
    const check = (value: Record<string, unknown>) => validateInlineInput(createValidators(), skill, value);
    expect(check({ text: "t" })).toEqual([]);
    expect(check({ text: "t", source: "in/a.md" })).toEqual([]);
    expect(check({})).toEqual([{ pointer: "/text", message: "is required" }]);
    expect(check({ text: "t", other: 1 })).toEqual([
      { pointer: "/other", message: "is not a known property; known: text, source" },
    ]);
  });

  it.each([
    "",
    7,
    null,
    "/etc/passwd",
    "../a.md",
    "a/../../b.md",
    "a\\b.md",
    "a\0.md",
    "C:/a.md",
    "dir/",
    "a.exe",
  ])("refuses the file path %j", async (source) => {
    const skill = await skillWith({ input });
    const issues = validateInlineInput(createValidators(), skill, { text: "t", source });
    expect(issues.map((issue) => issue.pointer)).toEqual(["/source"]);
  });

  it("checks nothing a skill has no schema for", async () => {
    const skill = await skillWith({});
    const validators = createValidators();
    expect(validateInlineInput(validators, skill, { anything: 1 })).toEqual([]);
    expect(validators.parameter(skill, { anything: 1 })).toEqual([]);
    expect(validators.output(skill, {})).toEqual([{ pointer: "/answer", message: "is required" }]);
  });
});
