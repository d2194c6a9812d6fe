import { isJsonObject } from "../json.ts";
import { requiredNames } from "./declared-properties.ts";
import { definitionName, resolveReference } from "./schema-references.ts";
import type { JsonSchema } from "./skill.ts";

/** Limits of strict structured output (https://platform.openai.com/docs/guides/structured-outputs). */
const maxDepth = 10;
const maxProperties = 5000;
const maxEnumValues = 1000;

/** Keywords that add shapes the strict form has no words for: leaving them out would forbid valid answers. */
const inexpressible = [
  "allOf",
  "if",
  "dependentSchemas",
  "patternProperties",
  "prefixItems",
  "$dynamicRef",
  "$id",
];

interface Translation {
  root: JsonSchema;
  /** Definitions in use: name -> translated; undefined while it is being translated (they may be recursive). */
  definitions: Map<string, JsonSchema | undefined>;
  properties: number;
  enumValues: number;
}

/**
 * Says an output schema in the strict form of structured output: every object closed, every property required, those
 * that were optional nullable. Keywords that only narrow (lengths, patterns, formats, x-...) are left out: the answer is
 * checked by the whole schema anyway. Null when the schema cannot be said in this form.
 */
export function toStrictSchema(schema: JsonSchema): JsonSchema | null {
  if (schema.type !== "object" || schema.anyOf !== undefined || schema.oneOf !== undefined) return null;
  const translation: Translation = { root: schema, definitions: new Map(), properties: 0, enumValues: 0 };
  // The top level may say $id; it has no say on references within the file.
  const { $id: _, ...top } = schema;
  const strict = translate(top, translation, 1);
  const tooLarge = translation.properties > maxProperties || translation.enumValues > maxEnumValues;
  if (strict === null || tooLarge) return null;
  if (translation.definitions.size === 0) return strict;
  return { ...strict, $defs: Object.fromEntries(translation.definitions) };
}

function translate(node: unknown, translation: Translation, depth: number): JsonSchema | null {
  if (!isJsonObject(node) || depth > maxDepth) return null;
  if (inexpressible.some((keyword) => node[keyword] !== undefined)) return null;
  if (typeof node.$ref === "string") return translateReference(node, node.$ref, translation);
  const note = typeof node.description === "string" ? { description: node.description } : {};
  const branches = node.anyOf ?? node.oneOf;
  if (branches !== undefined) {
    if (!Array.isArray(branches) || node.properties !== undefined) return null;
    const anyOf = branches.map((branch) => translate(branch, translation, depth + 1));
    return anyOf.some((branch) => branch === null) ? null : { ...note, anyOf };
  }
  if (node.const !== undefined) {
    const type = typesOf([node.const]);
    return type === null ? null : { ...note, type, const: node.const };
  }
  if (Array.isArray(node.enum)) {
    translation.enumValues += node.enum.length;
    const type = typesOf(node.enum);
    return type === null ? null : { ...note, type, enum: node.enum };
  }
  return translateTyped(node, note, translation, depth);
}

function translateTyped(
  node: JsonSchema,
  note: JsonSchema,
  translation: Translation,
  depth: number,
): JsonSchema | null {
  const type = node.type ?? (node.properties ? "object" : node.items ? "array" : undefined);
  const types = [type].flat();
  if (type === undefined || types.length === 0) return null;
  const strict: JsonSchema = { ...note, type };
  if (types.includes("object")) {
    const object = translateProperties(node, translation, depth);
    if (object === null) return null;
    Object.assign(strict, object);
  }
  if (types.includes("array")) {
    const items = translate(node.items, translation, depth + 1);
    if (items === null) return null;
    strict.items = items;
  }
  return strict;
}

function translateProperties(node: JsonSchema, translation: Translation, depth: number): JsonSchema | null {
  const declared = isJsonObject(node.properties) ? node.properties : {};
  const names = Object.keys(declared);
  const closed = node.additionalProperties === false || node.unevaluatedProperties === false;
  // Open on purpose, or a free-form object: the strict form would forbid what the schema asks for.
  if (!closed && (node.additionalProperties !== undefined || names.length === 0)) return null;
  const required = requiredNames(node);
  if ([...required].some((name) => typeof name !== "string" || !Object.hasOwn(declared, name))) return null;
  translation.properties += names.length;
  const properties: JsonSchema = {};
  for (const [name, property] of Object.entries(declared)) {
    const strict = translate(property, translation, depth + 1);
    if (strict === null) return null;
    properties[name] = required.has(name) ? strict : nullable(strict);
  }
  return { properties, required: names, additionalProperties: false };
}

function translateReference(
  node: JsonSchema,
  reference: string,
  translation: Translation,
): JsonSchema | null {
  const annotations = ["$ref", "description", "title", "default", "examples", "$comment", "deprecated"];
  if (Object.keys(node).some((keyword) => !annotations.includes(keyword) && !keyword.startsWith("x-")))
    return null;
  if (reference === "#") return { $ref: "#" };
  const name = definitionName(reference);
  if (name === null) return null;
  const strict = { $ref: `#/$defs/${name}` };
  if (translation.definitions.has(name)) return strict;
  translation.definitions.set(name, undefined);
  const definition = translate(resolveReference(translation.root, reference), translation, 1);
  if (definition === null) return null;
  translation.definitions.set(name, definition);
  return strict;
}

function nullable(schema: JsonSchema): JsonSchema {
  if (Array.isArray(schema.anyOf)) {
    return schema.anyOf.some((branch: unknown) => isJsonObject(branch) && branch.type === "null")
      ? schema
      : { ...schema, anyOf: [...schema.anyOf, { type: "null" }] };
  }
  const types: unknown[] = [schema.type].flat();
  if (types.includes("null")) return schema;
  if (schema.$ref !== undefined || schema.enum !== undefined || schema.const !== undefined) {
    const { description, ...rest } = schema;
    return { ...(description === undefined ? {} : { description }), anyOf: [rest, { type: "null" }] };
  }
  return { ...schema, type: [...types, "null"] };
}

/** The JSON types of some scalar values; null when one of them is no scalar. */
function typesOf(values: readonly unknown[]): string | string[] | null {
  const types = new Set<string>();
  for (const value of values) {
    if (typeof value === "object" && value !== null) return null;
    types.add(value === null ? "null" : typeof value);
  }
  const [first, ...others] = types;
  return first !== undefined && others.length === 0 ? first : [...types];
}
