import { createReadStream } from "node:fs";
import { basename } from "node:path";
import { Readable } from "node:stream";
import { contentType } from "mime-types";
import parseRange from "range-parser";
import { RunnerError } from "../../lib/errors.ts";

export interface SendableFile {
  absolute: string;
  bytes: number;
  modified: Date;
  etag: string;
}

/**
 * A file as an HTTP answer, with conditional and single-range requests (RFC 9110 sections 13 and 14). What agents write
 * is never shown as a page of ours: it is downloaded, and the browser may not guess its type.
 * @throws RunnerError RANGE_NOT_SATISFIABLE
 */
export function sendFile(request: Request, file: SendableFile, name: string): Response {
  const headers = new Headers({
    "accept-ranges": "bytes",
    "cache-control": "private, no-cache",
    "content-disposition": `attachment; filename*=UTF-8''${encodeURIComponent(basename(name))}`,
    "content-security-policy": "sandbox; default-src 'none'",
    "content-type": contentType(basename(name)) || "application/octet-stream",
    etag: file.etag,
    "last-modified": file.modified.toUTCString(),
  });
  const known = request.headers
    .get("if-none-match")
    ?.split(",")
    .map((tag) => tag.trim().replace(/^W\//, ""));
  if (known?.some((tag) => tag === file.etag || tag === "*"))
    return new Response(null, { status: 304, headers });

  const range = wantedRange(request, file);
  headers.set("content-length", String(range ? range.end - range.start + 1 : file.bytes));
  if (range) headers.set("content-range", `bytes ${range.start}-${range.end}/${file.bytes}`);
  const status = range ? 206 : 200;
  if (request.method === "HEAD" || file.bytes === 0) return new Response(null, { status, headers });
  return new Response(Readable.toWeb(createReadStream(file.absolute, range ?? {})), { status, headers });
}

function wantedRange(request: Request, file: SendableFile): { start: number; end: number } | null {
  const header = request.headers.get("range");
  const condition = request.headers.get("if-range");
  if (header === null || (condition !== null && condition !== file.etag)) return null;
  const ranges = parseRange(file.bytes, header);
  if (ranges === -1) {
    throw new RunnerError(
      "RANGE_NOT_SATISFIABLE",
      `The file has ${file.bytes} bytes; ask for a range inside it.`,
      { totalBytes: file.bytes },
    );
  }
  // A malformed header, another unit or several ranges: a server may ignore it and send the whole (RFC 9110, 14.2).
  if (ranges === -2 || ranges.type !== "bytes" || ranges.length !== 1) return null;
  return ranges[0] ?? null;
}
