import { isJsonObject } from "../json.ts";
import type { JsonSchema } from "./skill.ts";

/** References may point to references; a chain longer than this is a circle. */
const maxHops = 16;

/** The name in a reference to a definition (`#/$defs/name`, older `#/definitions/name`); null for any other one. */
export function definitionName(reference: string): string | null {
  return /^#\/(?:\$defs|definitions)\/([^/~%]+)$/.exec(reference)?.[1] ?? null;
}

/** What a local reference points to, one hop; undefined when there is nothing there. */
export function resolveReference(root: JsonSchema, reference: string): unknown {
  if (reference === "#") return root;
  const name = definitionName(reference);
  if (name === null) return undefined;
  const holder = reference.startsWith("#/$defs/") ? root.$defs : root.definitions;
  return isJsonObject(holder) && Object.hasOwn(holder, name) ? holder[name] : undefined;
}

/** Follows local references until there is a schema of its own. */
export function dereference(root: JsonSchema, node: unknown): JsonSchema | undefined {
  let current = node;
  for (let hop = 0; hop < maxHops; hop++) {
    if (!isJsonObject(current)) return undefined;
    if (typeof current.$ref !== "string") return current;
    current = resolveReference(root, current.$ref);
  }
  return undefined;
}
