import { isJsonObject } from "../json.ts";
import { requiredNames } from "./declared-properties.ts";
import { dereference } from "./schema-references.ts";
import type { JsonSchema } from "./skill.ts";

/**
 * Takes back what the strict form of structured output brought in: a null where the schema knows an optional property
 * that may not be null means that it was left out.
 */
export function dropNullOptionals(
  schema: JsonSchema,
  value: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  return cleanObject(schema, schema, value);
}

function clean(root: JsonSchema, node: unknown, value: unknown): unknown {
  const schema = dereference(root, node);
  if (schema === undefined) return value;
  if (Array.isArray(value)) {
    const branch = isJsonObject(schema.items) ? schema : fittingBranch(root, schema, value);
    return branch === undefined ? value : value.map((item) => clean(root, branch.items, item));
  }
  return isJsonObject(value) ? cleanObject(root, schema, value) : value;
}

function cleanObject(
  root: JsonSchema,
  schema: JsonSchema,
  value: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const properties = isJsonObject(schema.properties) ? schema.properties : {};
  const required = requiredNames(schema);
  const cleaned: Record<string, unknown> = {};
  for (const [name, item] of Object.entries(value)) {
    const property = Object.hasOwn(properties, name) ? properties[name] : undefined;
    const introduced =
      item === null && property !== undefined && !required.has(name) && !acceptsNull(root, property, 0);
    if (!introduced) cleaned[name] = property === undefined ? item : clean(root, property, item);
  }
  const branch = fittingBranch(root, schema, cleaned);
  return branch === undefined ? cleaned : cleanObject(root, branch, cleaned);
}

/** The first branch of a union that the value, with its nulls dropped, seems meant for. */
function fittingBranch(root: JsonSchema, schema: JsonSchema, value: unknown): JsonSchema | undefined {
  for (const branch of branchesOf(schema)) {
    const candidate = dereference(root, branch);
    if (candidate === undefined) continue;
    if (Array.isArray(value) ? candidate.items !== undefined : fits(root, candidate, value)) return candidate;
  }
  return undefined;
}

function fits(root: JsonSchema, schema: JsonSchema, value: unknown): boolean {
  if (!isJsonObject(value) || !isJsonObject(schema.properties)) return false;
  const properties = schema.properties;
  const required = requiredNames(schema);
  if ([...required].some((name) => typeof name !== "string" || !Object.hasOwn(value, name))) return false;
  return Object.entries(value).every(([name, item]) => {
    if (!Object.hasOwn(properties, name)) return schema.additionalProperties !== false;
    const property = dereference(root, properties[name]);
    if (property === undefined || (item === null && !required.has(name))) return true;
    if (property.const !== undefined) return property.const === item;
    return Array.isArray(property.enum) ? property.enum.includes(item) : true;
  });
}

function acceptsNull(root: JsonSchema, node: unknown, depth: number): boolean {
  const schema = dereference(root, node);
  // True schemas and endless circles: in doubt the null is the agent's own.
  if (schema === undefined || depth > 16) return true;
  if (schema.const !== undefined) return schema.const === null;
  if (Array.isArray(schema.enum)) return schema.enum.includes(null);
  const branches = branchesOf(schema);
  if (branches.length > 0) return branches.some((branch) => acceptsNull(root, branch, depth + 1));
  return schema.type === undefined ? schema.properties === undefined : [schema.type].flat().includes("null");
}

function branchesOf(schema: JsonSchema): unknown[] {
  const branches = schema.anyOf ?? schema.oneOf;
  return Array.isArray(branches) ? branches : [];
}
