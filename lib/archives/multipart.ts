import { once } from "node:events";
import { finished } from "node:stream/promises";
import { Busboy, type BusboyInstance } from "@fastify/busboy";
import { RunnerError } from "../errors.ts";
import { PartStore, type ReceivedFile } from "./part-store.ts";
import { printable } from "./refusals.ts";
import {
  cutShort,
  findPartProblem,
  malformed,
  type PartNames,
  tooLarge,
  tooManyFiles,
} from "./upload-refusals.ts";

export interface MultipartOptions {
  /** Existing folder that the file parts are written to. */
  dir: string;
  /** The part names that may come, each at most once unless `repeated` has it. */
  allowed: PartNames;
  /** Bytes of the whole body, part headers included. */
  maxBytes: number;
  maxFiles: number;
  /** Bytes of one file; default: as the whole body. */
  maxFileBytes?: number;
  /** Bytes of all files together; default: as the whole body. */
  maxTotalFileBytes?: number;
}

export interface MultipartForm {
  /** In the order of the body. */
  files: ReceivedFile[];
  fields: Record<string, string>;
}

type BodyReader = ReadableStreamDefaultReader<Uint8Array>;

const maxFieldBytes = 1024 * 1024;
const limits = { fieldSize: maxFieldBytes, headerPairs: 32, headerSize: 16 * 1024 };

/**
 * Receives a multipart/form-data body as it streams in: file parts go to `dir` under names of our own, fields (at most
 * 1 MiB each) into memory. What a part is follows from its name in `allowed`, not from what the client says it is.
 * On failure no file is left behind; the rest of the body is neither read nor cancelled, so that the answer gets out.
 *
 * Throws RunnerError: MEDIA_TYPE_UNSUPPORTED (not multipart), BODY_TOO_LARGE (declared or real size over `maxBytes`, a file
 * over `maxFileBytes`, all of them over `maxTotalFileBytes`),
 * UPLOAD_INVALID (malformed, cut short, unknown or repeated parts, too many files), STORAGE_FAILED (our disk).
 */
export async function receiveMultipart(request: Request, options: MultipartOptions): Promise<MultipartForm> {
  const contentType = readContentType(request.headers.get("content-type"));
  if (Number(request.headers.get("content-length") ?? 0) > options.maxBytes) throw tooLarge(options.maxBytes);
  if (request.body === null) throw malformed("it has no body");

  const reader: BodyReader = request.body.getReader();
  const parser = new Busboy({ headers: { "content-type": contentType }, limits, isPartAFile: isFile });
  const store = new PartStore(options.dir, {
    maxFileBytes: options.maxFileBytes ?? options.maxBytes,
    maxTotalBytes: options.maxTotalFileBytes ?? options.maxBytes,
  });
  const fields = new Map<string, string>();
  const seen = new Set<string>();
  let failure: RunnerError | undefined;

  /** The first failure ends everything that is waited for; what it ends fails in turn, which no longer matters. */
  function fail(error: RunnerError): void {
    if (failure !== undefined) return;
    failure = error;
    store.abort(error);
    parser.destroy(error);
    // rejects a pending read
    reader.releaseLock();
  }
  function isFile(name: string | undefined): boolean {
    return name === undefined || !options.allowed.fields.includes(name);
  }
  function admit(name: string | undefined): boolean {
    const refusal = findPartProblem(name, seen, options.allowed);
    if (refusal !== undefined) fail(refusal);
    else if (name !== undefined) seen.add(name);
    return failure === undefined;
  }
  const hangUp = () => fail(cutShort(request.signal.reason));

  parser.on("error", (error) => fail(malformed(error instanceof Error ? error.message : "", error)));
  parser.on("file", (name, content, filename) => {
    // the parser throws through this stream when the body ends early
    content.on("error", () => {});
    if (!admit(name)) content.resume();
    else if (store.count >= options.maxFiles) fail(tooManyFiles(options.maxFiles));
    else store.receive(name, filename, content, fail);
  });
  parser.on("field", (name, value, _nameTruncated, truncated) => {
    if (!admit(name)) return;
    if (truncated) fail(malformed(`the field ${printable(name)} is over ${maxFieldBytes} bytes`));
    else fields.set(name, value);
  });
  request.signal.addEventListener("abort", hangUp, { once: true });
  try {
    if (request.signal.aborted) hangUp();
    await pump(reader, parser, options.maxBytes);
    await store.settled();
  } catch (error) {
    fail(error instanceof RunnerError ? error : cutShort(error));
  } finally {
    request.signal.removeEventListener("abort", hangUp);
  }
  if (failure !== undefined) {
    await store.discard();
    throw failure;
  }
  reader.releaseLock();
  return { files: await store.settled(), fields: Object.fromEntries(fields) };
}

/** Writes the body into the parser as fast as the parts are taken from it. */
async function pump(reader: BodyReader, parser: BusboyInstance, maxBytes: number): Promise<void> {
  let bytes = 0;
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    bytes += next.value.byteLength;
    if (bytes > maxBytes) throw tooLarge(maxBytes);
    // a parser that was destroyed meanwhile never drains; the next read then rejects
    if (!parser.write(next.value) && !parser.destroyed) await once(parser, "drain");
  }
  const parsed = finished(parser);
  parser.end();
  await parsed;
}

/** The header reduced to what the parser needs, so that nothing else in it can confuse it. */
function readContentType(header: string | null): string {
  if (!/^\s*multipart\/form-data\s*(;|$)/i.test(header ?? "")) {
    throw new RunnerError(
      "MEDIA_TYPE_UNSUPPORTED",
      `Send the upload as multipart/form-data; its Content-Type is ${printable(header ?? "")}.`,
    );
  }
  const [, quoted, bare] =
    /;\s*boundary=(?:"([^"\\]{1,70})"|([^\s;",]{1,70})(?=\s*(?:;|$)))/i.exec(header ?? "") ?? [];
  const boundary = quoted ?? bare;
  if (boundary === undefined) {
    throw malformed("its Content-Type names no boundary of 1 to 70 characters");
  }
  return `multipart/form-data; boundary="${boundary}"`;
}
