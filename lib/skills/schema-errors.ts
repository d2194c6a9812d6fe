import type { ErrorObject } from "ajv";
import type { Issue } from "../errors.ts";
import { jsonPointer } from "../json.ts";

/** Enough to mend a value by, and no more than fits a prompt. */
const maxIssues = 50;

/** Turns ajv's errors into issues in plain words; a missing or extra property is pointed at by its own name. */
export function explainErrors(errors: readonly ErrorObject[] | null | undefined): Issue[] {
  const seen = new Map<string, Issue>();
  for (const error of errors ?? []) {
    const issue = { pointer: pointerOf(error), message: messageOf(error) };
    seen.set(`${issue.pointer}\0${issue.message}`, issue);
    if (seen.size === maxIssues) break;
  }
  return [...seen.values()];
}

function pointerOf({ instancePath, params, propertyName }: ErrorObject): string {
  const name: unknown =
    params.missingProperty ?? params.additionalProperty ?? params.unevaluatedProperty ?? propertyName;
  return typeof name === "string" ? instancePath + jsonPointer([name]) : instancePath;
}

function messageOf({ keyword, params, parentSchema, message }: ErrorObject): string {
  switch (keyword) {
    case "type":
      return `must be ${[params.type].flat().map(withArticle).join(" or ")}`;
    case "required":
      return "is required";
    case "dependentRequired":
      return `is required when ${params.property} is given`;
    case "additionalProperties":
    case "unevaluatedProperties":
      return `is not a known property; known: ${knownProperties(parentSchema)}`;
    case "enum":
      return `must be one of ${params.allowedValues.map((value: unknown) => JSON.stringify(value)).join(", ")}`;
    case "const":
      return `must be ${JSON.stringify(params.allowedValue)}`;
    case "minLength":
      return `must have at least ${counted(params.limit, "character")}`;
    case "maxLength":
      return `must have at most ${counted(params.limit, "character")}`;
    case "minItems":
      return `must have at least ${counted(params.limit, "item")}`;
    case "maxItems":
      return `must have at most ${counted(params.limit, "item")}`;
    case "minProperties":
      return `must have at least ${counted(params.limit, "property", "properties")}`;
    case "maxProperties":
      return `must have at most ${counted(params.limit, "property", "properties")}`;
    case "minimum":
      return `must be at least ${params.limit}`;
    case "maximum":
      return `must be at most ${params.limit}`;
    case "exclusiveMinimum":
      return `must be more than ${params.limit}`;
    case "exclusiveMaximum":
      return `must be less than ${params.limit}`;
    case "multipleOf":
      return `must be a multiple of ${params.multipleOf}`;
    case "pattern":
      return `must match the pattern ${params.pattern}`;
    case "format":
      return `must be a valid ${params.format}`;
    case "uniqueItems":
      return `must not have the same item twice (items ${params.j} and ${params.i})`;
    case "propertyNames":
      return "is not an allowed property name";
    case "oneOf":
      return params.passingSchemas === null
        ? "must match one of the allowed shapes"
        : "must match only one of the allowed shapes";
    case "anyOf":
      return "must match one of the allowed shapes";
    case "not":
      return "must not have this shape";
    case "false schema":
      return "is not allowed";
    default:
      return message ?? `breaks the rule ${keyword}`;
  }
}

function withArticle(type: unknown): string {
  if (type === "null") return "null";
  return /^[aeiou]/.test(String(type)) ? `an ${type}` : `a ${type}`;
}

function counted(count: unknown, singular: string, plural = `${singular}s`): string {
  return `${count} ${count === 1 ? singular : plural}`;
}

function knownProperties(schema: ErrorObject["parentSchema"]): string {
  const names = Object.keys(schema?.properties ?? {});
  return names.length === 0 ? "none" : names.join(", ");
}
