import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import type { Issue } from "../errors.ts";
import { createTimeLimit, OutOfTime, type TimeLimit } from "../time-limit.ts";
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

const compileMs = 2_000;
const checkMs = 1_000;

/** The time that preparing a schema, and checking a value by it, may take: both can be made to take for ever. */
export interface SchemaLimits {
  compile: TimeLimit;
  check: TimeLimit;
}

export function createSchemaLimits(): SchemaLimits {
  return { compile: createTimeLimit(compileMs), check: createTimeLimit(checkMs) };
}

/** What is wrong with a schema that cannot be compiled in time. */
export const tooLarge = `takes longer than ${compileMs / 1_000} s to prepare: make the schema smaller`;

const tooSlow = `cannot be checked by the schema within ${checkMs / 1_000} s: make the value smaller, or the schema's patterns simpler`;

/**
 * Compiles a schema once. What it returns says what is wrong with a value; no issues means that it is valid.
 * @param limits may be shared with other schemas
 */
export function createSchemaValidator(
  schema: JsonSchema,
  limits: SchemaLimits = createSchemaLimits(),
): SchemaValidator {
  const { $schema: _, ...undeclared } = schema;
  let compiled: ValidateFunction | undefined;
  return (value) => {
    try {
      compiled ??= limits.compile(() => createAjv({ checksSchemas: false }).compile(undeclared));
    } catch (error) {
      return [{ pointer: "", message: lateOrThrow(error, `its schema ${tooLarge}`) }];
    }
    const validate = compiled;
    try {
      return limits.check(() => (validate(value) ? [] : explainErrors(validate.errors)));
    } catch (error) {
      return [{ pointer: "", message: lateOrThrow(error, tooSlow) }];
    }
  };
}

function lateOrThrow(error: unknown, message: string): string {
  if (error instanceof OutOfTime) return message;
  throw error;
}
