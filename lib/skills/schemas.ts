import { posix } from "node:path";
import type { Issue } from "../errors.ts";
import { isJsonObject, jsonPointer } from "../json.ts";
import { OutOfTime } from "../time-limit.ts";
import { isArtifactKind } from "./artifact-fields.ts";
import { declaredProperties } from "./declared-properties.ts";
import { explainErrors } from "./schema-errors.ts";
import { createAjv, createSchemaLimits, tooLarge } from "./schema-validator.ts";
import {
  type Findings,
  type JsonSchema,
  type SchemaKey,
  type SkillManifest,
  type SkillSchemas,
  schemaKeys,
} from "./skill.ts";

/** Where the schema of each kind lies when the manifest names no other place. */
export const defaultSchemaPath = (key: SchemaKey) => `assets/${key}.schema.json`;

/** What a plain Agent Skill takes: one free text. It has no output schema: its answer is free text too. */
export const plainSchemas: Readonly<SkillSchemas> = {
  input: {
    type: "object",
    properties: {
      prompt: { type: "string", description: "What the skill is asked to do.", "x-input-source": "inline" },
    },
    additionalProperties: false,
  },
};

export interface SchemaReader {
  /** Finds, parses and checks the schemas a manifest points to. */
  read(
    manifest: SkillManifest,
    files: ReadonlySet<string>,
    readJson: (path: string) => Promise<unknown>,
    findings: Findings,
  ): Promise<SkillSchemas>;
}

/** One reader serves many packages: preparing JSON Schema's own rules takes longer than checking a schema by them. */
export function createSchemaReader(): SchemaReader {
  const compileIssues = createCompileCheck();
  return {
    async read(manifest, files, readJson, findings) {
      const schemas: SkillSchemas = {};
      for (const key of schemaKeys) {
        const path = locate(manifest.schemas[key], key, files, findings);
        if (path === null) continue;
        const data = await readJson(path);
        if (data === undefined) continue;
        const issues = schemaIssues(compileIssues, key, data);
        findings.errors.push(...issues.map((issue) => ({ ...issue, pointer: `${path}#${issue.pointer}` })));
        if (isJsonObject(data)) schemas[key] = data;
      }
      return schemas;
    },
  };
}

function locate(
  declared: string | undefined,
  key: SchemaKey,
  files: ReadonlySet<string>,
  { errors, warnings }: Findings,
): string | null {
  const fallback = defaultSchemaPath(key);
  if (declared !== undefined) {
    // Looking the path up among the package's own files is what keeps it from leading out of the package.
    const path = posix.normalize(declared);
    if (files.has(path)) return path;
    const message = `the package has no file "${declared}"; ${fallback} is used instead`;
    warnings.push({ pointer: `assets/runner.json#/schemas/${key}`, message });
  }
  if (files.has(fallback)) return fallback;
  if (key === "output")
    errors.push({ pointer: fallback, message: "is missing: it says what the skill answers" });
  return null;
}

/** Says why a schema cannot be compiled. */
function createCompileCheck(): (schema: JsonSchema) => Issue[] {
  const { compile: within } = createSchemaLimits();
  let ajv = createAjv({ checksSchemas: true });
  return (schema) => {
    // Older packages declare another draft; all are read as 2020-12.
    const { $schema: _, ...undeclared } = schema;
    try {
      return within(() => {
        if (ajv.validateSchema(undeclared) !== true) return explainErrors(ajv.errors);
        ajv.compile(undeclared);
        return [];
      });
    } catch (error) {
      // It was ended in the middle of its work.
      if (error instanceof OutOfTime) ajv = createAjv({ checksSchemas: true });
      const message = error instanceof Error ? error.message : "cannot be compiled";
      return [{ pointer: "", message: error instanceof OutOfTime ? tooLarge : message }];
    } finally {
      ajv.removeSchema(undeclared);
    }
  };
}

function schemaIssues(
  compileIssues: (schema: JsonSchema) => Issue[],
  key: SchemaKey,
  schema: unknown,
): Issue[] {
  if (!isJsonObject(schema) || schema.type !== "object") {
    return [{ pointer: "/type", message: 'must be "object" at the top level' }];
  }
  if (schema.$async === true) return [{ pointer: "/$async", message: "is not supported" }];
  const extensions = declaredProperties(schema).flatMap(({ path, schema: property }) =>
    keywordIssues(key, property).map(([keyword, message]) => ({
      pointer: jsonPointer([...path, keyword]),
      message,
    })),
  );
  return [...compileIssues(schema), ...extensions];
}

function keywordIssues(key: SchemaKey, property: JsonSchema): [keyword: string, message: string][] {
  const issues: [string, string][] = [];
  const source = property["x-input-source"];
  if (key === "input" && source !== undefined && source !== "file" && source !== "inline") {
    issues.push(["x-input-source", 'must be "file" or "inline"']);
  }
  const type = property["x-type"];
  if (key !== "output" || type === undefined) return issues;
  if (!isArtifactKind(type)) {
    issues.push(["x-type", 'must be "artifact", "artifact-manifest" or "file"']);
  } else if (type !== "file" && (typeof property["x-role"] !== "string" || property["x-role"] === "")) {
    issues.push(["x-role", `is required beside x-type "${type}"`]);
  }
  if (type === "artifact-manifest" && property.type !== "string") {
    issues.push(["type", 'must be "string": the value is the path of the manifest']);
  }
  return issues;
}
