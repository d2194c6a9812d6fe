import { z } from "zod";
import type { Seeded } from "../crash/seeded.ts";
import { hostileText, hostileValue, hostileZip, spoilJson } from "./hostile.ts";

const parameter = z.object({ in: z.enum(["path", "query"]), name: z.string(), schema: z.unknown() });
const operation = z.object({
  operationId: z.string(),
  parameters: z.array(parameter).default([]),
  requestBody: z
    .object({ content: z.record(z.string(), z.object({ schema: z.record(z.string(), z.unknown()) })) })
    .optional(),
  responses: z.record(z.string(), z.object({ content: z.record(z.string(), z.unknown()).optional() })),
});
export const openApi = z.object({
  paths: z.record(z.string(), z.record(z.string(), operation)),
  components: z.object({ schemas: z.record(z.string(), z.unknown()) }),
});
export type OpenApi = z.infer<typeof openApi>;
export type Operation = z.infer<typeof operation>;

export interface FuzzedRequest {
  /** Of the document. */
  template: string;
  operation: Operation;
  method: string;
  /** As it is sent. */
  path: string;
  headers: Record<string, string>;
  body: Buffer | null;
  /** Nothing in the path or method leads to another endpoint: the document says how it may be answered. */
  isPlain: boolean;
}

/** What of the world a request may name, by kind: ids of jobs and other things that the server told of. */
export type Known = Record<string, string[]>;

/** What makes jobs comes often, what removes them seldom: else nearly all requests would be for jobs that are gone. */
const weights: Record<string, number> = {
  "post /v1/jobs": 1,
  "post /v1/jobs/{request_id}/upload": 1,
  "delete /v1/jobs/{request_id}": 0.02,
  "post /v1/jobs/cleanup": 0.002,
};

/** Draws one request: an operation, and for each thing it takes a good value or one that breaks it. */
export function drawRequest(document: OpenApi, random: Seeded, known: Known): FuzzedRequest {
  const all = Object.entries(document.paths).flatMap(([template, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ template, method, operation })),
  );
  let chosen = all[0];
  do chosen = all[random.between(0, all.length - 1)];
  while (chosen !== undefined && !random.chance(weights[`${chosen.method} ${chosen.template}`] ?? 0.25));
  if (chosen === undefined) throw new Error("the document has no operation");
  const { template, method, operation } = chosen;
  const spoiled = random.chance(0.03);
  let isPlain = !spoiled;
  const path = template.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const value = paramValue(random, kindOf(template, name), known);
    const isWhole = !["", ".", ".."].includes(value);
    if (random.chance(0.9) && isWhole) return encodeURIComponent(wellFormed(value));
    isPlain = false;
    return sendable(value);
  });
  const query = drawQuery(document, random, operation);
  const { headers, body } = drawBody(document, random, operation);
  return {
    template,
    operation,
    method: spoiled
      ? random.pick(["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "HEAD"])
      : method.toUpperCase(),
    path: path + query,
    headers: { ...headers, ...drawHeaders(random) },
    body,
    isPlain,
  };
}

/** What a parameter names: jobs, installs and upgrades all have a request_id. */
export const kindOf = (template: string, name: string) =>
  name === "request_id" ? (template.split("/")[2] ?? name) : name;

function paramValue(random: Seeded, name: string, known: Known): string {
  const values = known[name] ?? [];
  const one = values[random.between(0, Math.max(values.length - 1, 0))];
  return one !== undefined && random.chance(0.75) ? one : hostileText(random);
}

/** Lone surrogates have no spelling in a URL. */
const wellFormed = (text: string) => Buffer.from(text).toString();
/** What Node lets through as a path: no blanks, nothing beyond Latin-1. */
const sendable = (text: string) =>
  wellFormed(text).replaceAll(/[^\x21-\x7e]/gu, (sign) => encodeURIComponent(sign));

function drawQuery(document: OpenApi, random: Seeded, { parameters }: Operation): string {
  const pairs = parameters
    .filter((each) => each.in === "query" && random.chance(0.5))
    .map(({ name, schema }) => {
      const value = random.chance(0.5) ? hostileText(random) : String(fitting(document, random, schema));
      return `${name}=${encodeURIComponent(wellFormed(value))}`;
    });
  if (random.chance(0.05)) pairs.push(`${encodeURIComponent(wellFormed(hostileText(random)))}=1`);
  if (random.chance(0.02)) pairs.push("%zz=%", "limit=1&limit=2");
  return pairs.length === 0 ? "" : `?${pairs.join("&")}`;
}

const headerNames = [
  "accept",
  "accept-encoding",
  "content-type",
  "idempotency-key",
  "if-none-match",
  "if-range",
  "last-event-id",
  "prefer",
  "range",
  "x-forwarded-host",
] as const;

function drawHeaders(random: Seeded): Record<string, string> {
  const headers: Record<string, string> = {};
  while (random.chance(0.2))
    headers[random.pick(headerNames)] = hostileText(random)
      .replaceAll(/[^\t\x20-\x7e\x80-\xff]/g, "")
      .trim();
  // Answers that wait are not what this looks for.
  if (/wait/.test(headers.prefer ?? "")) headers.prefer = "wait=0";
  return headers;
}

function drawBody(document: OpenApi, random: Seeded, { requestBody }: Operation) {
  const none = { headers: {}, body: null };
  if (requestBody === undefined) {
    if (random.chance(0.9)) return none;
    return { headers: { "content-type": "application/json" }, body: Buffer.from(hostileText(random)) };
  }
  const [type, content] = Object.entries(requestBody.content)[0] ?? [];
  if (type === undefined || content === undefined || random.chance(0.03)) return none;
  if (type === "multipart/form-data")
    return drawMultipart(
      random,
      Object.keys(z.record(z.string(), z.unknown()).parse(content.schema.properties)),
    );
  const text = JSON.stringify(fitting(document, random, content.schema, 0.12)) ?? "null";
  return {
    headers: {
      "content-type": random.chance(0.95)
        ? "application/json"
        : hostileText(random).replaceAll(/[^\x20-\x7e]/g, ""),
    },
    body: random.chance(0.85) ? Buffer.from(text) : spoilJson(random, text),
  };
}

function drawMultipart(random: Seeded, names: string[]) {
  const boundary = random.pick(["x", "----a'()+_,-./:=?b", "x".repeat(70)]);
  const parts: Buffer[] = [];
  do {
    const name = random.chance(0.85)
      ? (names[random.between(0, names.length - 1)] ?? "file")
      : hostileText(random);
    const quoted = (text: string) => text.replaceAll(/["\r\n]/g, "%22");
    const filename = random.chance(0.7) ? "f.zip" : quoted(hostileText(random));
    const file = random.chance(0.85) ? `; filename="${filename}"` : "";
    parts.push(
      Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="${quoted(name)}"${file}\r\n\r\n`),
      random.chance(0.8) ? hostileZip(random) : Buffer.from(hostileText(random)),
      Buffer.from("\r\n"),
    );
  } while (random.chance(0.25));
  if (random.chance(0.93)) parts.push(Buffer.from(`--${boundary}--\r\n`));
  const told = random.chance(0.95) ? boundary : "other";
  return {
    headers: { "content-type": `multipart/form-data; boundary="${told}"` },
    body: Buffer.concat(parts),
  };
}

const shape = z
  .object({
    $ref: z.string(),
    type: z.union([z.string(), z.array(z.string())]),
    enum: z.array(z.unknown()),
    const: z.unknown(),
    anyOf: z.array(z.unknown()),
    oneOf: z.array(z.unknown()),
    properties: z.record(z.string(), z.unknown()),
    required: z.array(z.string()),
    items: z.unknown(),
    minimum: z.number(),
    maximum: z.number(),
  })
  .partial();

/** A value for a schema; each part of it is, with probability `spoil`, anything else. */
function fitting(document: OpenApi, random: Seeded, schema: unknown, spoil = 0): unknown {
  if (random.chance(spoil)) return hostileValue(random);
  const {
    $ref,
    type,
    anyOf,
    oneOf,
    properties,
    required = [],
    items,
    minimum = 0,
    maximum = 100,
    ...rest
  } = shape.parse(typeof schema === "object" ? schema : {});
  const again = (inner: unknown) => fitting(document, random, inner, spoil);
  if ($ref !== undefined) return again(document.components.schemas[$ref.split("/").at(-1) ?? ""]);
  if (rest.enum !== undefined) return rest.enum[random.between(0, rest.enum.length - 1)];
  if ("const" in rest) return rest.const;
  const choices = anyOf ?? oneOf;
  if (choices !== undefined) return again(choices[random.between(0, choices.length - 1)]);
  switch (Array.isArray(type) ? type[0] : type) {
    case "object":
      return Object.fromEntries(
        Object.entries(properties ?? { prompt: { type: "string" } })
          .filter(([name]) => required.includes(name) || random.chance(0.4))
          .map(([name, inner]) => [
            name,
            name === "skill_id" && random.chance(0.7)
              ? random.pick(["haiku", "asks", "text-stats", "report-from-file", "fuzzed"])
              : name === "engine" && random.chance(0.8)
                ? "codex"
                : again(inner),
          ]),
      );
    case "array":
      return Array.from({ length: random.between(0, 3) }, () => again(items));
    case "integer":
    case "number":
      return random.chance(0.5) ? minimum : random.between(minimum, Math.min(maximum, 2 ** 31));
    case "boolean":
      return random.chance(0.5);
    case "null":
      return null;
    default:
      return random.chance(0.5) ? "text" : hostileText(random);
  }
}
