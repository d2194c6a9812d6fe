import type { Issue } from "../errors.ts";
import { isJsonObject } from "../json.ts";
import { requiredNames } from "./declared-properties.ts";
import { filePathIssues, splitInputs } from "./inputs.ts";
import { createSchemaLimits, createSchemaValidator, type SchemaValidator } from "./schema-validator.ts";
import type { JsonSchema, SchemaKey, Skill } from "./skill.ts";

/** Checks data by a skill's schemas. What a skill has no schema for is not checked. */
export interface SkillValidators {
  /** Inline inputs only; file inputs may stand beside them as anything. */
  input(skill: Skill, value: unknown): Issue[];
  parameter(skill: Skill, value: unknown): Issue[];
  output(skill: Skill, value: unknown): Issue[];
}

/** Compiles each schema when it is first used, and keeps it as long as its `Skill` is kept. */
export function createValidators(): SkillValidators {
  const limits = createSchemaLimits();
  const compiled = new WeakMap<Skill, Partial<Record<SchemaKey, SchemaValidator>>>();
  const check = (
    skill: Skill,
    key: SchemaKey,
    value: unknown,
    prepare: (schema: JsonSchema) => JsonSchema,
  ) => {
    const schema = skill.schemas[key];
    if (schema === undefined) return [];
    const validators = compiled.get(skill) ?? {};
    compiled.set(skill, validators);
    const validate = validators[key] ?? createSchemaValidator(prepare(schema), limits);
    validators[key] = validate;
    return validate(value);
  };
  const asItIs = (schema: JsonSchema) => schema;
  return {
    input: (skill, value) => check(skill, "input", value, (schema) => inlineSchema(skill, schema)),
    parameter: (skill, value) => check(skill, "parameter", value, asItIs),
    output: (skill, value) => check(skill, "output", value, asItIs),
  };
}

/** Checks what a request brings as `input`, before files are uploaded: inline values, and the paths of files it names. */
export function validateInlineInput(
  validators: SkillValidators,
  skill: Skill,
  input: Readonly<Record<string, unknown>>,
): Issue[] {
  return [...validators.input(skill, input), ...filePathIssues(splitInputs(skill).file, input)];
}

/** The input schema without its say on files, and closed: an input that nobody reads is a mistake of the caller. */
function inlineSchema(skill: Skill, schema: JsonSchema): JsonSchema {
  const files = splitInputs(skill).file.map(({ name }) => name);
  const properties = isJsonObject(schema.properties) ? schema.properties : {};
  const open = [
    "additionalProperties",
    "unevaluatedProperties",
    "patternProperties",
    "allOf",
    "anyOf",
    "oneOf",
    "$ref",
  ].some((keyword) => schema[keyword] !== undefined);
  return {
    ...schema,
    properties: { ...properties, ...Object.fromEntries(files.map((name) => [name, true])) },
    required: [...requiredNames(schema)].filter((name) => !files.some((file) => file === name)),
    ...(open ? {} : { additionalProperties: false }),
  };
}
