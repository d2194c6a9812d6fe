import { RunnerError } from "../errors.ts";

/** What a refused call of the operating system is told as: its code, and no path. Any other error is given back. */
export function asStorageFailure(error: unknown, what: string): unknown {
  if (!(error instanceof Error) || !("syscall" in error) || !("code" in error)) return error;
  const readOnly = error.code === "EROFS" || error.code === "EACCES" || error.code === "EPERM";
  const advice = readOnly
    ? "The server may not write there: make the folder writable for it"
    : "Try again, or tell the operator";
  return new RunnerError("STORAGE_FAILED", `${what} (${String(error.code)}). ${advice}.`, { cause: error });
}
