import type { z } from "zod";
import type { Engines, Upgrades } from "../lib/agents/index.ts";
import type { Capacity } from "../lib/capacity/index.ts";
import { type ErrorCode, type Issue, RunnerError } from "../lib/errors.ts";
import { jsonPointer } from "../lib/json.ts";
import type { Runs, UploadLimits } from "../lib/runs/index.ts";
import type { SkillInstalls, SkillRegistry } from "../lib/skills/index.ts";
import type { Caller, Scope } from "./doors/api-keys.ts";
import { readJsonBody } from "./json-body.ts";

export { type Caller, isAllowed } from "./doors/api-keys.ts";

/** The parts a function may use: what `runtime/services.ts` built. */
export interface Services {
  skills: SkillRegistry;
  skillPackages: SkillInstalls;
  engines: Engines;
  upgrades: Upgrades;
  runs: Runs;
  capacity: Capacity;
  /** Limits and folders that endpoints need to know. */
  limits: {
    maxBodyBytes: number;
    maxUploadBytes: number;
    tempSkillPackageBytes: number;
    upload: UploadLimits;
    replyFiles: { maxFiles: number; maxFileBytes: number; maxTotalBytes: number };
  };
  /** Hands over an empty folder for a body that is being received, and removes it afterwards with all that is left in it. */
  inTemporaryFolder<T>(use: (dir: string) => Promise<T>): Promise<T>;
  /** Whether the server takes work: false while it starts up and while it shuts down. */
  ready(): { ready: boolean; reason: string | null };
  openApiDocument(): Promise<object>;
}

/** A JSON schema of what goes over the wire; anything that is no JSON is named by its media type. */
export interface ResponseSpec {
  description: string;
  schema?: z.ZodType;
  mediaType?: string;
}

type Schema = z.ZodObject | undefined;
type Parsed<S extends Schema> = S extends z.ZodObject ? z.output<S> : Record<never, never>;

/** What a handler is handed: everything already checked. */
export interface Call<P extends Schema, Q extends Schema, B extends Schema> {
  params: Parsed<P>;
  query: Parsed<Q>;
  body: Parsed<B>;
  /** For what is no JSON: uploads, conditional and range requests. */
  request: Request;
  /** Whom the request comes from: the name and scope of its key; null where the server has no keys. */
  caller: Caller;
  services: Services;
}

/**
 * One endpoint. The file's path in functions/ is its route and method; from this one declaration come the validation,
 * the OpenAPI operation, the docs and the test. A handler gives back JSON (sent with `status`) or a whole Response.
 */
export interface FunctionDefinition<
  P extends Schema = Schema,
  Q extends Schema = Schema,
  B extends Schema = Schema,
> {
  summary: string;
  description?: string;
  /** What a key must be allowed to do; "open" for what anybody may ask, such as health. */
  scope: Scope | "open";
  tags: string[];
  params?: P;
  query?: Q;
  /** JSON body. Absent: the handler reads the request itself, or there is none. */
  body?: B;
  /** The JSON body may be left out altogether. */
  bodyOptional?: boolean;
  /** Multipart parts, for the document; the handler receives them. */
  multipart?: Record<string, { description: string; optional?: boolean }>;
  /** Status of a JSON answer. */
  status?: number;
  responses: Record<number, ResponseSpec>;
  /** Error codes this endpoint can answer with, beside those every endpoint can. */
  errors?: ErrorCode[];
  handler(call: Call<P, Q, B>): unknown;
}

/** An endpoint as the router mounts it: its description, and one call that checks and handles a request. */
export interface RunnerFunction extends Omit<FunctionDefinition, "handler"> {
  /**
   * The handler's answer: at once, or as a promise where the handler or the body takes time.
   * @throws RunnerError REQUEST_INVALID and what the body reader throws, before the handler is reached
   */
  call(raw: RawCall): unknown;
}

/** A request before it is checked. */
export interface RawCall {
  params: Record<string, string>;
  request: Request;
  caller: Caller;
  services: Services;
}

/** Declares an endpoint. The default export of every file in functions/ is its result. */
export function defineFunction<
  P extends Schema = undefined,
  Q extends Schema = undefined,
  B extends Schema = undefined,
>(definition: FunctionDefinition<P, Q, B>): RunnerFunction {
  const { handler, ...description } = definition;
  return {
    ...description,
    call({ params, request, caller, services }) {
      const handle = (json: unknown) =>
        handler({
          params: checked(definition.params, params, "path"),
          query: checked(
            definition.query,
            definition.query === undefined ? {} : Object.fromEntries(new URL(request.url).searchParams),
            "query",
          ),
          body: checked(definition.body, json, "body"),
          request,
          caller,
          services,
        });
      if (definition.body === undefined) return handle(undefined);
      return readJsonBody(request, services.limits.maxBodyBytes, definition.bodyOptional ?? false).then(
        handle,
      );
    },
  };
}

function checked<S extends Schema>(schema: S | undefined, value: unknown, place: string): Parsed<S>;
function checked(schema: Schema, value: unknown, place: string): unknown {
  if (schema === undefined) return {};
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new RunnerError("REQUEST_INVALID", `The ${place} of the request is not as documented.`, {
    issues: result.error.issues.flatMap((issue) => requestIssues(issue, place, Object.keys(schema.shape))),
  });
}

function requestIssues(issue: z.core.$ZodIssue, place: string, known: string[]): Issue[] {
  const at = place === "body" ? issue.path : [place, ...issue.path];
  if (issue.code !== "unrecognized_keys") return [{ pointer: jsonPointer(at), message: issue.message }];
  return issue.keys.map((key) => ({
    pointer: jsonPointer([...at, key]),
    message: `is not known; known: ${known.join(", ")}`,
  }));
}
