import type { FileHandle } from "node:fs/promises";
import { fromRandomAccessReaderPromise, RandomAccessReader, type ZipFile } from "yauzl";

/**
 * Opens the zip in an open file, for its directory only; `handle` stays the caller's to close. Rejects with yauzl's
 * plain Error when it is no zip.
 *
 * yauzl 3.4 hands offsets from the archive to fs.read as they are; one above 2^53 throws inside its callback, where
 * nobody can catch it, and takes the process down. So it reads through `BoundedReader`.
 */
export async function openZip(handle: FileHandle): Promise<{ zip: ZipFile; bytes: number }> {
  const { size } = await handle.stat();
  const zip = await fromRandomAccessReaderPromise(new BoundedReader(handle, size), size, {
    autoClose: false,
    // names are decoded and sizes checked by us, so that the messages can name the entry
    decodeStrings: false,
    validateEntrySizes: false,
  });
  return { zip, bytes: size };
}

/** Reads only inside the file; every other position is an ordinary error. */
class BoundedReader extends RandomAccessReader {
  readonly #handle: FileHandle;
  readonly #size: number;

  constructor(handle: FileHandle, size: number) {
    super();
    this.#handle = handle;
    this.#size = size;
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null) => void,
  ): void {
    if (position + length > this.#size) {
      setImmediate(callback, new Error("an offset points outside the file"));
      return;
    }
    this.#handle
      .read(buffer, offset, length, position)
      .then(
        ({ bytesRead }) => callback(bytesRead < length ? new Error("unexpected end of file") : null),
        callback,
      );
  }
}
