import { RunnerError } from "../errors.ts";

/** What is wrong with one entry of an archive, and what its maker can do about it. */
export interface Refusal {
  /** Continues the sentence `Entry "x" …`. */
  problem: string;
  remedy: string;
}

const longestShownName = 80;

/** A name from outside made fit for a message: control and other invisible characters escaped, the middle cut out. */
export function printable(name: string): string {
  const shown = Array.from(name, (character) =>
    /[\p{C}\p{Zl}\p{Zp}"]/u.test(character)
      ? `\\u{${character.codePointAt(0)?.toString(16) ?? ""}}`
      : character,
  );
  const half = longestShownName / 2;
  const cut =
    shown.length > longestShownName ? [...shown.slice(0, half), "…", ...shown.slice(-half + 1)] : shown;
  return `"${cut.join("")}"`;
}

/** The JSON pointer to a member called `name`, as far as that is fit to be shown. */
export function pointerTo(name: string): string {
  return `/${printable(name).slice(1, -1).replaceAll("~", "~0").replaceAll("/", "~1")}`;
}

/** ARCHIVE_INVALID about one entry; the issue points at it as if the archive were an object keyed by entry name. */
export function invalidEntry(name: string, refusal: Refusal, cause?: unknown): RunnerError {
  return aboutEntry("ARCHIVE_INVALID", name, refusal, cause);
}

/** ARCHIVE_TOO_LARGE about one entry. */
export function oversizedEntry(name: string, refusal: Refusal): RunnerError {
  return aboutEntry("ARCHIVE_TOO_LARGE", name, refusal);
}

/**
 * What a failed unpacking is reported as: refusals pass, a failing disk is STORAGE_FAILED, and whatever the zip or
 * deflate reader complains of is ARCHIVE_INVALID.
 */
export function asArchiveError(error: unknown): RunnerError {
  if (error instanceof RunnerError) return error;
  if (isSystemError(error)) {
    return new RunnerError(
      "STORAGE_FAILED",
      `The archive could not be unpacked on the server's disk (${error.code}). Try again, or tell the operator.`,
      { cause: error },
    );
  }
  const reason = error instanceof Error ? error.message : String(error);
  return new RunnerError(
    "ARCHIVE_INVALID",
    `The upload is not a readable zip archive: ${reason}. Make the zip again and upload it again.`,
    { cause: error },
  );
}

/** Whether the operating system refused a call (zlib's and Node's own errors have codes too, but no syscall). */
export function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "syscall" in error && "code" in error;
}

function aboutEntry(
  code: "ARCHIVE_INVALID" | "ARCHIVE_TOO_LARGE",
  name: string,
  { problem, remedy }: Refusal,
  cause?: unknown,
): RunnerError {
  return new RunnerError(code, `Entry ${printable(name)} ${problem}. ${remedy}`, {
    issues: [{ pointer: pointerTo(name), message: problem }],
    cause,
  });
}
