import { RunnerError } from "../errors.ts";
import { pointerTo, printable } from "./refusals.ts";

/** The names that parts of a form may have. */
export interface PartNames {
  files: readonly string[];
  fields: readonly string[];
  /** Those of `files` that may come more than once; default none. */
  repeated?: readonly string[];
}

/** What is wrong with a part of this name, after those `seen`; undefined when it may come. */
export function findPartProblem(
  name: string | undefined,
  seen: ReadonlySet<string>,
  { files, fields, repeated = [] }: PartNames,
): RunnerError | undefined {
  const each = repeated.length === 0 ? "once each" : `once each but for ${repeated.join(", ")}`;
  const list = `Allowed, ${each}: files: ${files.join(", ") || "none"}; fields: ${fields.join(", ") || "none"}.`;
  if (name === undefined) return new RunnerError("UPLOAD_INVALID", `A part has no name. ${list}`);
  const issues = [{ pointer: pointerTo(name), message: list }];
  if (!files.includes(name) && !fields.includes(name)) {
    const message = `There is no part called ${printable(name)}. ${list}`;
    return new RunnerError("UPLOAD_INVALID", message, { issues });
  }
  if (seen.has(name) && !repeated.includes(name)) {
    const message = `The part ${printable(name)} was sent twice. ${list}`;
    return new RunnerError("UPLOAD_INVALID", message, { issues });
  }
  return undefined;
}

export function malformed(reason: string, cause?: unknown): RunnerError {
  const message = `The upload is not well-formed multipart/form-data: ${reason}. Send it again.`;
  return new RunnerError("UPLOAD_INVALID", message, { cause });
}

export function cutShort(cause: unknown): RunnerError {
  const message = "The upload ended before all of it came. Send it again.";
  return new RunnerError("UPLOAD_INVALID", message, { cause });
}

export function tooManyFiles(most: number): RunnerError {
  return new RunnerError("UPLOAD_INVALID", `The upload has more than ${most} file(s). Send fewer.`);
}

export function tooLarge(most: number): RunnerError {
  return new RunnerError("BODY_TOO_LARGE", `The upload is over ${most} bytes. Send less.`);
}

export function fileTooLarge(filename: string, most: number): RunnerError {
  return new RunnerError("BODY_TOO_LARGE", `The file ${printable(filename)} is over ${most} bytes.`);
}

export function filesTooLarge(most: number): RunnerError {
  return new RunnerError("BODY_TOO_LARGE", `The files are over ${most} bytes together. Send less.`);
}
