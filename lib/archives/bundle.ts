import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { PassThrough, Readable } from "node:stream";
import { finished } from "node:stream/promises";
import { ZipFile } from "yazl";
import { RunnerError } from "../errors.ts";
import { readRange } from "./file-range.ts";
import { printable } from "./refusals.ts";

export interface BundleFile {
  /** Name in the zip: relative, with forward slashes. */
  path: string;
  /** Absolute path of a regular file (a link is refused), or the content itself. */
  source: string | Buffer;
  /** Default: the file's own, or now for a Buffer. */
  mtime?: Date;
}

/**
 * A zip of `files` in the order given, made while it is read: nothing is opened before the first read, one file is
 * open at a time, and memory stays at some 100 KiB however large the files are. A file that grows meanwhile is cut at
 * the size it had when its turn came.
 *
 * The stream errors with STORAGE_FAILED when a source cannot be read any more; cancelling it closes everything.
 */
export function streamZip(files: readonly BundleFile[]): ReadableStream<Uint8Array> {
  const zip = new ZipFile();
  const output = new PassThrough();
  const stop = (error: Error) => output.destroy(error);
  zip.on("error", stop);
  zip.outputStream.on("error", stop).pipe(output);
  const chunks: AsyncIterator<Buffer> = output[Symbol.asyncIterator]();
  let started = false;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (!started) {
          started = true;
          addAll(zip, files, output).catch(stop);
        }
        const { done, value } = await chunks.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel() {
        output.destroy();
      },
    },
    { highWaterMark: 0 },
  );
}

async function addAll(zip: ZipFile, files: readonly BundleFile[], output: PassThrough): Promise<void> {
  for (const file of files) {
    if (output.destroyed) return;
    if (typeof file.source === "string") await addFile(zip, file, file.source, output);
    else await add(zip, file, [file.source], { mtime: file.mtime ?? new Date(), mode: 0o100644 }, output);
  }
  zip.end();
}

async function addFile(zip: ZipFile, file: BundleFile, path: string, output: PassThrough): Promise<void> {
  let handle: FileHandle | undefined;
  try {
    // a link may have been put there since the list was made; a pipe must not block
    handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stats = await handle.stat();
    if (!stats.isFile()) throw new Error("not a regular file");
    const mode = (stats.mode & 0o100) === 0 ? 0o100644 : 0o100755;
    const content = readRange(handle, 0, stats.size);
    await add(zip, file, content, { mtime: file.mtime ?? stats.mtime, mode }, output);
  } catch (error) {
    throw new RunnerError(
      "STORAGE_FAILED",
      `The file ${printable(file.path)} could not be read while the zip was made. Ask for the zip again.`,
      { cause: error },
    );
  } finally {
    await handle?.close();
  }
}

/** Resolves when yazl has taken all of the content; rejects when it cannot be read or the output is gone. */
async function add(
  zip: ZipFile,
  file: BundleFile,
  content: Iterable<Buffer> | AsyncIterable<Buffer>,
  metadata: { mtime: Date; mode: number },
  output: PassThrough,
): Promise<void> {
  const source = Readable.from(content);
  const stop = () => source.destroy();
  output.once("close", stop);
  try {
    const taken = finished(source);
    zip.addReadStream(source, file.path, metadata);
    await taken;
  } finally {
    output.off("close", stop);
  }
}
