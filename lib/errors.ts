/**
 * Everything that can be wrong with what a caller asked for, or with the world at that moment.
 * The codes are stable: clients switch on them, and `runtime/problem.ts` maps each one to an HTTP status.
 */
export type ErrorCode =
  // what was asked for does not exist
  | "SKILL_NOT_FOUND"
  | "ENGINE_NOT_FOUND"
  | "JOB_NOT_FOUND"
  | "UPGRADE_NOT_FOUND"
  | "SKILL_PACKAGE_INSTALL_NOT_FOUND"
  | "ARTIFACT_NOT_FOUND"
  | "ROUTE_NOT_FOUND"
  | "METHOD_NOT_ALLOWED"
  // whoever asks may not
  | "UNAUTHORIZED"
  | "FORBIDDEN"
  | "HOST_NOT_ALLOWED"
  | "ORIGIN_NOT_ALLOWED"
  | "RATE_LIMITED"
  // the request itself is wrong
  | "REQUEST_INVALID"
  | "JSON_INVALID"
  | "MEDIA_TYPE_UNSUPPORTED"
  | "BODY_TOO_LARGE"
  | "PATH_INVALID"
  | "CURSOR_INVALID"
  | "INPUT_INVALID"
  | "PARAMETER_INVALID"
  | "OPTION_INVALID"
  | "SKILL_ENGINE_UNSUPPORTED"
  | "SKILL_EXECUTION_MODE_UNSUPPORTED"
  | "MODEL_INVALID"
  | "ARCHIVE_INVALID"
  | "ARCHIVE_TOO_LARGE"
  | "UPLOAD_INVALID"
  | "REPLY_INVALID"
  | "CREDENTIALS_INVALID"
  | "JOB_NOT_INTERACTIVE"
  | "IDEMPOTENCY_KEY_REUSED"
  | "RANGE_NOT_SATISFIABLE"
  // the request is fine, the moment is not
  | "SKILL_INVALID"
  | "SKILL_VERSION_NOT_GREATER"
  | "SKILL_INSTALL_CONFLICT"
  | "ENGINE_NOT_INSTALLED"
  | "SANDBOX_REQUIRED"
  | "ENGINE_NOT_INSTALLABLE"
  | "UPGRADE_IN_PROGRESS"
  | "MODEL_SNAPSHOT_CONFLICT"
  | "JOB_STATE_CONFLICT"
  | "STALE_INTERACTION"
  | "IDEMPOTENCY_CONFLICT"
  | "RESULT_NOT_READY"
  | "QUEUE_FULL"
  | "STARTING"
  | "SHUTTING_DOWN"
  | "STORAGE_FAILED"
  | "INTERNAL";

/** One thing that is wrong, and where: `pointer` is an RFC 6901 JSON pointer ("" means the whole document). */
export interface Issue {
  pointer: string;
  message: string;
  code?: string;
}

export interface ErrorDetails {
  issues?: readonly Issue[];
  /** Seconds after which the same request may work. */
  retryAfterSeconds?: number;
  /** Size in bytes of what a range was asked of. */
  totalBytes?: number;
  cause?: unknown;
}

/** A failure the caller is told about. `message` says what is wrong and what to do; it never holds a host path. */
export class RunnerError extends Error {
  override readonly name = "RunnerError";
  readonly code: ErrorCode;
  readonly issues: readonly Issue[];
  readonly retryAfterSeconds: number | undefined;
  readonly totalBytes: number | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.issues = details.issues ?? [];
    this.retryAfterSeconds = details.retryAfterSeconds;
    this.totalBytes = details.totalBytes;
  }
}
