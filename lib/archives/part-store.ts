import { randomUUID } from "node:crypto";
import { open, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { RunnerError } from "../errors.ts";
import { isSystemError } from "./refusals.ts";
import { cutShort, filesTooLarge, fileTooLarge } from "./upload-refusals.ts";

export interface ReceivedFile {
  /** The part's name. */
  field: string;
  /** What the client calls the file, "" when it does not: for display, never a path. */
  filename: string;
  /** Absolute, with a name of our own. */
  path: string;
  bytes: number;
}

/** In bytes of content. */
export interface PartLimits {
  maxFileBytes: number;
  /** All files together. */
  maxTotalBytes: number;
}

/** The file parts of one upload on disk: all of them, or after `discard` none. */
export class PartStore {
  readonly #dir: string;
  readonly #paths: string[] = [];
  readonly #contents: Readable[] = [];
  readonly #writes: Promise<ReceivedFile>[] = [];
  readonly #limits: PartLimits;
  #totalBytes = 0;

  /** `dir` must exist. */
  constructor(dir: string, limits: PartLimits) {
    this.#dir = dir;
    this.#limits = limits;
  }

  get count(): number {
    return this.#writes.length;
  }

  /** Starts to write one part; `onFailure` is called at most once, at the moment it fails. */
  receive(
    field: string,
    filename: string | undefined,
    content: Readable,
    onFailure: (error: RunnerError) => void,
  ): void {
    const named = filename ?? "";
    const path = join(this.#dir, `${randomUUID()}.part`);
    this.#paths.push(path);
    this.#contents.push(content);
    const counted = this.#metered(content, named);
    const write = writeNew(path, counted).then((bytes) => ({ field, filename: named, path, bytes }));
    write.catch((error: unknown) => onFailure(asStoreError(error)));
    this.#writes.push(write);
  }

  async *#metered(content: Readable, filename: string): AsyncGenerator<Buffer> {
    const { maxFileBytes, maxTotalBytes } = this.#limits;
    let bytes = 0;
    for await (const chunk of content) {
      bytes += chunk.length;
      this.#totalBytes += chunk.length;
      if (bytes > maxFileBytes) throw fileTooLarge(filename, maxFileBytes);
      if (this.#totalBytes > maxTotalBytes) throw filesTooLarge(maxTotalBytes);
      yield chunk;
    }
  }

  /** All files once they are on disk; rejects when one could not be written. */
  settled(): Promise<ReceivedFile[]> {
    return Promise.all(this.#writes);
  }

  /** Ends every write that is still going on. */
  abort(error: Error): void {
    for (const content of this.#contents) content.destroy(error);
  }

  /** Removes all files, when nothing writes to them any more. Call `abort` first. */
  async discard(): Promise<void> {
    await Promise.allSettled(this.#writes);
    await Promise.all(this.#paths.map((path) => rm(path, { force: true }).catch(() => {})));
  }
}

/** Settles only when the file is closed, so that it can be removed for good. Returns its bytes. */
async function writeNew(path: string, content: AsyncIterable<Buffer>): Promise<number> {
  const file = await open(path, "wx", 0o600);
  try {
    await writeFile(file, content);
    return (await file.stat()).size;
  } finally {
    await file.close();
  }
}

function asStoreError(error: unknown): RunnerError {
  if (error instanceof RunnerError) return error;
  if (isSystemError(error)) {
    return new RunnerError(
      "STORAGE_FAILED",
      `The upload could not be written to the server's disk (${error.code}). Try again, or tell the operator.`,
      { cause: error },
    );
  }
  return cutShort(error);
}
