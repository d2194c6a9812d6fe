/** What the machine lacks for the moment: it may have it again without anything here being changed. */
const passing = new Set(["ENOSPC", "EDQUOT", "EROFS", "EIO", "EMFILE", "ENFILE", "ENOMEM", "EAGAIN"]);

/** A storage that did not answer, or not now. Whether it did what it was asked is not known. */
export class Unreachable extends Error {
  override readonly name = "Unreachable";
  readonly code = "UNREACHABLE";

  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/**
 * The system's code (errno(3)) when an error, or what caused it, is a full or failing disk or the like, or UNREACHABLE for
 * a storage that is not there; else null.
 */
export function mediumFailure(error: unknown): string | null {
  for (let at = error; at instanceof Error; at = at.cause) {
    if (!("code" in at && typeof at.code === "string")) continue;
    if (passing.has(at.code) || at instanceof Unreachable) return at.code;
    // So Node calls a file system that is read-only, when it is to make a folder with its parents.
    if (at.code === "ENOENT" && "syscall" in at && at.syscall === "mkdir") return "EROFS";
  }
  return null;
}
