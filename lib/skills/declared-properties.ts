import { isJsonObject } from "../json.ts";
import type { JsonSchema } from "./skill.ts";

export interface DeclaredProperty {
  name: string;
  schema: JsonSchema;
  required: boolean;
  /** Where it stands in the schema, as JSON pointer segments. */
  path: PropertyKey[];
}

/** Properties a schema names at its top level and in the branches of a top-level oneOf or anyOf. */
export function declaredProperties(schema: JsonSchema): DeclaredProperty[] {
  const holders: { base: PropertyKey[]; holder: JsonSchema }[] = [{ base: [], holder: schema }];
  for (const union of ["oneOf", "anyOf"]) {
    const branches = schema[union];
    if (!Array.isArray(branches)) continue;
    for (const [index, holder] of branches.entries()) {
      if (isJsonObject(holder)) holders.push({ base: [union, index], holder });
    }
  }
  return holders.flatMap(({ base, holder }) => {
    const required = requiredNames(holder);
    return Object.entries(isJsonObject(holder.properties) ? holder.properties : {}).flatMap(
      ([name, property]) =>
        isJsonObject(property)
          ? [{ name, schema: property, required: required.has(name), path: [...base, "properties", name] }]
          : [],
    );
  });
}

/** The names in a schema's `required`. */
export function requiredNames(schema: JsonSchema): Set<unknown> {
  return new Set(Array.isArray(schema.required) ? schema.required : []);
}
