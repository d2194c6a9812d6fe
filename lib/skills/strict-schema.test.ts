import { describe, expect, it } from "vitest";
import { dropNullOptionals } from "./null-optionals.ts";
import { createSchemaValidator } from "./schema-validator.ts";
import { toStrictSchema } from "./strict-schema.ts";

const object = (properties: object, required: string[] = []) => ({ type: "object", properties, required });
const schema = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  type: "object",
  properties: {
    name: { type: "string", minLength: 3, format: "email", description: "Who", "x-type": "file" },
    age: { type: "integer", minimum: 0, default: 3 },
    mood: { enum: ["good", "bad"] },
    note: { type: ["string", "null"] },
    tree: { $ref: "#/$defs/node" },
    shape: {
      oneOf: [
        object({ kind: { const: "circle" }, r: { type: "number" }, label: { type: "string" } }, [
          "kind",
          "r",
        ]),
        object({ kind: { const: "box" }, w: { type: "number" } }, ["kind"]),
      ],
    },
  },
  required: ["name"],
  $defs: {
    node: object(
      { value: { type: "string" }, children: { type: "array", items: { $ref: "#/$defs/node" } } },
      ["children"],
    ),
  },
};

describe("toStrictSchema", () => {
  it("closes objects, requires everything, makes optional properties nullable and drops what is not known", () => {
    expect(toStrictSchema(schema)).toEqual({
      type: "object",
      properties: {
        name: { type: "string", description: "Who" },
        age: { type: ["integer", "null"] },
        mood: { anyOf: [{ type: "string", enum: ["good", "bad"] }, { type: "null" }] },
        note: { type: ["string", "null"] },
        tree: { anyOf: [{ $ref: "#/$defs/node" }, { type: "null" }] },
        shape: {
          anyOf: [
            {
              type: "object",
              properties: {
                kind: { type: "string", const: "circle" },
                r: { type: "number" },
                label: { type: ["string", "null"] },
              },
              required: ["kind", "r", "label"],
              additionalProperties: false,
            },
            {
              type: "object",
              properties: { kind: { type: "string", const: "box" }, w: { type: ["number", "null"] } },
              required: ["kind", "w"],
              additionalProperties: false,
            },
            { type: "null" },
          ],
        },
      },
      required: ["name", "age", "mood", "note", "tree", "shape"],
      additionalProperties: false,
      $defs: {
        node: {
          type: "object",
          properties: {
            value: { type: ["string", "null"] },
            children: { type: "array", items: { $ref: "#/$defs/node" } },
          },
          required: ["value", "children"],
          additionalProperties: false,
        },
      },
    });
  });

  it.each([
    ["a free-form object", object({ x: { type: "object" } })],
    ["no properties at all", { type: "object" }],
    ["a map", object({ x: { type: "object", additionalProperties: { type: "string" } } })],
    ["an open object", { ...object({ x: { type: "string" } }), additionalProperties: true }],
    ["pattern properties", { ...object({ x: { type: "string" } }), patternProperties: { "^y": {} } }],
    ["a union at the top", { type: "object", oneOf: [object({ x: { type: "string" } })] }],
    ["allOf", object({ x: { allOf: [{ type: "string" }] } })],
    ["anything", object({ x: true })],
    ["a property of no type", object({ x: { description: "?" } })],
    ["an array of anything", object({ x: { type: "array" } })],
    [
      "a tuple",
      object({ x: { type: "array", prefixItems: [{ type: "string" }], items: { type: "string" } } }),
    ],
    ["a required property it does not know", object({ x: { type: "string" } }, ["y"])],
    ["a reference into nothing", object({ x: { $ref: "#/$defs/none" } })],
    ["an object as a constant", object({ x: { const: { a: 1 } } })],
  ])("gives up on %s", (_what, given) => {
    expect(toStrictSchema(given)).toBeNull();
  });
});

describe("dropNullOptionals", () => {
  it("takes back exactly what the strict form brought in", () => {
    const answer = {
      name: "abc",
      age: null,
      mood: null,
      note: null,
      tree: {
        value: null,
        children: [
          { value: "leaf", children: [] },
          { value: null, children: [] },
        ],
      },
      shape: { kind: "box", w: null },
    };
    const strict = toStrictSchema(schema);
    expect(strict && createSchemaValidator(strict)(answer)).toEqual([]);
    const cleaned = dropNullOptionals(schema, answer);
    expect(cleaned).toEqual({
      name: "abc",
      note: null,
      tree: { children: [{ value: "leaf", children: [] }, { children: [] }] },
      shape: { kind: "box" },
    });
    const { name: _, ...unformatted } = schema.properties;
    expect(createSchemaValidator({ ...schema, properties: { ...unformatted, name: true } })(cleaned)).toEqual(
      [],
    );
  });

  it("leaves nulls that are the agent's own mistake", () => {
    expect(dropNullOptionals(schema, { name: null, other: null })).toEqual({ name: null, other: null });
  });

  it("ends on schemas that refer to themselves", () => {
    const circle = {
      ...object({ x: { $ref: "#/$defs/a" } }),
      $defs: { a: { anyOf: [{ $ref: "#/$defs/a" }] } },
    };
    expect(dropNullOptionals(circle, { x: null })).toEqual({ x: null });
  });
});
