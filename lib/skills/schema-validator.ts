import { Ajv2020 } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import type { Issue } from "../errors.ts";
import { explainErrors } from "./schema-errors.ts";
import type { JsonSchema } from "./skill.ts";

export type SchemaValidator = (value: unknown) => Issue[];

/**
 * An ajv for 2020-12 with formats, that loads nothing from anywhere.
 * `checksSchemas` prepares JSON Schema's own rules, tens of milliseconds: schemas are checked when a package is read.
 */
export function createAjv({ checksSchemas }: { checksSchemas: boolean }): Ajv2020 {
  const ajv = new Ajv2020({
    allErrors: true,
    verbose: true,
    strict: false,
    logger: false,
    meta: checksSchemas,
    validateSchema: false,
    addUsedSchema: false,
  });
  formats.default(ajv);
  return ajv;
}

/** Compiles a schema once. What it returns says what is wrong with a value; no issues means that it is valid. */
export function createSchemaValidator(schema: JsonSchema): SchemaValidator {
  const { $schema: _, ...undeclared } = schema;
  const validate = createAjv({ checksSchemas: false }).compile(undeclared);
  return (value) => (validate(value) ? [] : explainErrors(validate.errors));
}
