import { type ErrorCode, RunnerError } from "../lib/errors.ts";
import { mediumFailure } from "../lib/storage/index.ts";
import { securityHeaders } from "./doors/security-headers.ts";

/** The one table from what went wrong to how HTTP says it. */
export const problems: Readonly<Record<ErrorCode, { status: number; title: string }>> = {
  SKILL_NOT_FOUND: { status: 404, title: "No such skill" },
  ENGINE_NOT_FOUND: { status: 404, title: "No such engine" },
  JOB_NOT_FOUND: { status: 404, title: "No such job" },
  UPGRADE_NOT_FOUND: { status: 404, title: "No such upgrade" },
  SKILL_PACKAGE_INSTALL_NOT_FOUND: { status: 404, title: "No such install" },
  ARTIFACT_NOT_FOUND: { status: 404, title: "No such artifact" },
  ROUTE_NOT_FOUND: { status: 404, title: "No such endpoint" },
  METHOD_NOT_ALLOWED: { status: 405, title: "Method not allowed" },
  UNAUTHORIZED: { status: 401, title: "A key is needed" },
  FORBIDDEN: { status: 403, title: "Not allowed" },
  HOST_NOT_ALLOWED: { status: 421, title: "Another host was asked for" },
  ORIGIN_NOT_ALLOWED: { status: 403, title: "The page's origin is not allowed" },
  RATE_LIMITED: { status: 429, title: "Too many requests" },
  REQUEST_INVALID: { status: 422, title: "The request is not as documented" },
  JSON_INVALID: { status: 400, title: "The body is not valid JSON" },
  MEDIA_TYPE_UNSUPPORTED: { status: 415, title: "Unsupported media type" },
  BODY_TOO_LARGE: { status: 413, title: "The body is too large" },
  PATH_INVALID: { status: 400, title: "Invalid path" },
  CURSOR_INVALID: { status: 400, title: "Invalid cursor" },
  INPUT_INVALID: { status: 400, title: "The input does not fit the skill" },
  PARAMETER_INVALID: { status: 400, title: "The parameters do not fit the skill" },
  OPTION_INVALID: { status: 400, title: "Invalid option" },
  SKILL_ENGINE_UNSUPPORTED: { status: 400, title: "The skill does not run on this engine" },
  SKILL_EXECUTION_MODE_UNSUPPORTED: { status: 400, title: "The skill does not run in this mode" },
  MODEL_INVALID: { status: 400, title: "Invalid model" },
  ARCHIVE_INVALID: { status: 400, title: "The archive cannot be used" },
  ARCHIVE_TOO_LARGE: { status: 413, title: "The archive unpacks to too much" },
  REPLY_INVALID: { status: 422, title: "The reply does not fit the question" },
  CREDENTIALS_INVALID: { status: 422, title: "The credential files cannot be used" },
  JOB_NOT_INTERACTIVE: { status: 400, title: "The job takes no replies" },
  IDEMPOTENCY_KEY_REUSED: { status: 422, title: "The idempotency key was used for another request" },
  STALE_INTERACTION: { status: 409, title: "The job asks something else by now" },
  IDEMPOTENCY_CONFLICT: { status: 409, title: "The idempotency key was used for another reply" },
  UPLOAD_INVALID: { status: 400, title: "The upload cannot be used" },
  RANGE_NOT_SATISFIABLE: { status: 416, title: "Range not satisfiable" },
  SKILL_INVALID: { status: 409, title: "The skill package is broken" },
  SKILL_VERSION_NOT_GREATER: { status: 409, title: "The version is not greater" },
  SKILL_INSTALL_CONFLICT: { status: 409, title: "The skill cannot be replaced" },
  ENGINE_NOT_INSTALLED: { status: 409, title: "The engine is not installed" },
  SANDBOX_REQUIRED: { status: 503, title: "The sandbox does not work" },
  ENGINE_NOT_INSTALLABLE: { status: 409, title: "The engine cannot be installed" },
  UPGRADE_IN_PROGRESS: { status: 409, title: "An upgrade is under way" },
  MODEL_SNAPSHOT_CONFLICT: { status: 409, title: "The models cannot be added" },
  JOB_STATE_CONFLICT: { status: 409, title: "The job is in another state" },
  RESULT_NOT_READY: { status: 409, title: "The result is not ready" },
  QUEUE_FULL: { status: 429, title: "The queue is full" },
  STARTING: { status: 503, title: "The server is starting" },
  SHUTTING_DOWN: { status: 503, title: "The server is shutting down" },
  STORAGE_FAILED: { status: 503, title: "The storage failed" },
  INTERNAL: { status: 500, title: "Internal error" },
};

/** RFC 9457 problem details, with our stable `code` and, for checks, `errors` with JSON pointers (RFC 6901). */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: ErrorCode;
  errors?: { pointer: string; detail: string; code?: string }[];
}

function untold(error: unknown): RunnerError {
  const lacking = mediumFailure(error);
  if (lacking === null) return new RunnerError("INTERNAL", "The server failed. Its log says why.");
  const message = `The server's disk or its limits did not allow it (${lacking}). Try again, or tell the operator.`;
  return new RunnerError("STORAGE_FAILED", message, { retryAfterSeconds: 5 });
}

/** Says an error in HTTP. What is no RunnerError tells the caller nothing: its text may hold paths and secrets. */
export function problemResponse(error: unknown): Response {
  const known = error instanceof RunnerError ? error : untold(error);
  const { status, title } = problems[known.code];
  const body: Problem = {
    type: `urn:skill-runner:problem:${known.code.toLowerCase().replaceAll("_", "-")}`,
    title,
    status,
    detail: known.message,
    code: known.code,
  };
  if (known.issues.length > 0) {
    body.errors = known.issues.map(({ pointer, message, code }) => ({
      pointer,
      detail: message,
      ...(code === undefined ? {} : { code }),
    }));
  }
  const headers: Record<string, string> = { "content-type": "application/problem+json", ...securityHeaders };
  if (known.retryAfterSeconds !== undefined)
    headers["retry-after"] = String(Math.ceil(known.retryAfterSeconds));
  // RFC 7617: browsers ask for a name and a password, and the key is the password. Bearer is not named, as Chromium asks for
  // nothing where another scheme stands in the same line.
  if (status === 401) headers["www-authenticate"] = 'Basic realm="Skill Runner", charset="UTF-8"';
  // RFC 9110, 15.5.17: a 416 says how long the whole is.
  if (known.totalBytes !== undefined) headers["content-range"] = `bytes */${known.totalBytes}`;
  return new Response(JSON.stringify(body), { status, headers });
}
