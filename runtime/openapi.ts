import { z } from "zod";
import { createDocument, type ZodOpenApiOperationObject, type ZodOpenApiPathsObject } from "zod-openapi";
import type { ErrorCode } from "../lib/errors.ts";
import type { RunnerFunction } from "./function.ts";
import { problems } from "./problem.ts";
import type { Route } from "./routes.ts";

const problem = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string().describe("What is wrong and what to do about it."),
    code: z.string().describe("Stable: switch on it."),
    errors: z
      .array(z.object({ pointer: z.string(), detail: z.string(), code: z.string().optional() }))
      .optional()
      .describe("One per thing that is wrong; `pointer` is a JSON pointer into the request."),
  })
  .meta({ id: "Problem", description: "RFC 9457 problem details." });

/** Describes every mounted function in OpenAPI 3.1: the same declarations that check the requests. */
export async function describeApi(routes: readonly Route[]): Promise<object> {
  const paths: ZodOpenApiPathsObject = {};
  for (const { template, method, load } of routes) {
    paths[template] = { ...paths[template], [method]: describeOperation(template, method, await load()) };
  }
  return createDocument(
    {
      openapi: "3.1.1",
      info: {
        title: "Skill Runner",
        version: "0.1.0",
        description:
          "Runs agent CLIs as HTTP functions: checked input, checked output, artifacts, the whole event log.",
        license: { name: "MIT", identifier: "MIT" },
      },
      tags: ["jobs", "skills", "engines", "system"].map((name) => ({ name })),
      security: [{ bearer: [] }, { basic: [] }],
      components: {
        securitySchemes: {
          bearer: { type: "http", scheme: "bearer", description: "An API key (SKILL_RUNNER_API_KEYS)." },
          basic: {
            type: "http",
            scheme: "basic",
            description: "For browsers: any name; the key is the password.",
          },
        },
      },
      paths,
    },
    { allowEmptySchema: { unknown: true } },
  );
}

function describeOperation(template: string, method: string, fn: RunnerFunction): ZodOpenApiOperationObject {
  return {
    operationId: operationId(template, method),
    summary: fn.summary,
    ...(fn.description === undefined ? {} : { description: fn.description }),
    tags: fn.tags,
    ...(fn.scope === "open" ? { security: [] } : { "x-scope": fn.scope }),
    requestParams: {
      ...(fn.params === undefined ? {} : { path: fn.params }),
      ...(fn.query === undefined ? {} : { query: fn.query }),
    },
    ...describeBody(fn),
    responses: { ...describeAnswers(fn), ...describeErrors(fn) },
  };
}

function describeBody(fn: RunnerFunction) {
  if (fn.body !== undefined) {
    return {
      requestBody: { required: !fn.bodyOptional, content: { "application/json": { schema: fn.body } } },
    };
  }
  if (fn.multipart === undefined) return {};
  const parts = Object.entries(fn.multipart).map(([name, part]) => [
    name,
    { type: "string" as const, contentMediaType: "application/octet-stream", description: part.description },
  ]);
  const schema = {
    type: "object" as const,
    properties: Object.fromEntries(parts),
    required: Object.entries(fn.multipart).flatMap(([name, part]) => (part.optional ? [] : [name])),
  };
  return { requestBody: { required: true, content: { "multipart/form-data": { schema } } } };
}

function describeAnswers(fn: RunnerFunction): ZodOpenApiOperationObject["responses"] {
  return Object.fromEntries(
    Object.entries(fn.responses).map(([status, { description, schema, mediaType }]) => {
      if (schema !== undefined) return [status, { description, content: { "application/json": { schema } } }];
      if (mediaType === undefined) return [status, { description }];
      return [status, { description, content: { [mediaType]: {} } }];
    }),
  );
}

function describeErrors(fn: RunnerFunction): ZodOpenApiOperationObject["responses"] {
  const codes: ErrorCode[] = [...(fn.errors ?? []), "INTERNAL"];
  if (fn.scope !== "open")
    codes.push("UNAUTHORIZED", "FORBIDDEN", "HOST_NOT_ALLOWED", "ORIGIN_NOT_ALLOWED", "RATE_LIMITED");
  if (fn.params !== undefined || fn.query !== undefined || fn.body !== undefined)
    codes.push("REQUEST_INVALID");
  if (fn.body !== undefined) codes.push("JSON_INVALID", "MEDIA_TYPE_UNSUPPORTED", "BODY_TOO_LARGE");
  if (fn.multipart !== undefined) codes.push("MEDIA_TYPE_UNSUPPORTED", "BODY_TOO_LARGE");
  const byStatus = new Map<number, Set<ErrorCode>>();
  for (const code of codes) {
    const { status } = problems[code];
    byStatus.set(status, (byStatus.get(status) ?? new Set<ErrorCode>()).add(code));
  }
  return Object.fromEntries(
    [...byStatus].map(([status, group]) => [
      `${status}`,
      { description: [...group].join(", "), content: { "application/problem+json": { schema: problem } } },
    ]),
  );
}

function operationId(template: string, method: string): string {
  const words = template.split("/").map((segment) => segment.replace(/\W+/g, "_").replace(/^_|_$/g, ""));
  return [method, ...words.filter((word) => word !== "")].join("_");
}
