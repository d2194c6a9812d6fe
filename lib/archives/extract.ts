import { randomBytes } from "node:crypto";
import { type FileHandle, mkdir, open, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createInflateRaw } from "node:zlib";
import type { ZipFile } from "yauzl";
import { RunnerError } from "../errors.ts";
import { readRange } from "./file-range.ts";
import { damagedEntry, InflationBudget } from "./inflation-budget.ts";
import type { ExtractLimits } from "./limits.ts";
import { type PlannedEntry, readEntries } from "./read-entries.ts";
import { asArchiveError, isSystemError } from "./refusals.ts";
import { openZip } from "./zip-reader.ts";

export interface ExtractOptions {
  /** Files marked executable become 0755 instead of 0644. Default false. */
  keepExecutable?: boolean;
}

/**
 * Unpacks a hostile zip into `targetDir`, whole or not at all: everything is written to a sibling folder
 * (`.tmp-unpack-*`, left behind only by a killed process) that is renamed into place at the end. `targetDir` must not
 * exist or be empty; its parent must exist. `__MACOSX/` and `.DS_Store` are skipped.
 *
 * Returns the relative paths of the files, sorted. Throws RunnerError: ARCHIVE_INVALID (not a zip, damaged, or with
 * entries we refuse), ARCHIVE_TOO_LARGE (over one of `limits`), STORAGE_FAILED (our disk).
 */
export async function extractZip(
  zipPath: string,
  targetDir: string,
  limits: ExtractLimits,
  options: ExtractOptions = {},
): Promise<string[]> {
  const target = resolve(targetDir);
  const staging = join(dirname(target), `.tmp-unpack-${randomBytes(8).toString("hex")}`);
  try {
    await mkdir(staging, { mode: 0o755 });
    const files = await unpack(zipPath, staging, limits, options.keepExecutable ?? false);
    await rename(staging, target);
    return files.sort();
  } catch (error) {
    // the first failure is the one to report, even when the clean-up fails too
    await rm(staging, { recursive: true, force: true }).catch(() => {});
    throw asArchiveError(error);
  }
}

async function unpack(
  zipPath: string,
  folder: string,
  limits: ExtractLimits,
  keepExecutable: boolean,
): Promise<string[]> {
  const handle = await open(zipPath, "r");
  try {
    const { zip, bytes } = await openZip(handle);
    const entries = await readEntries(zip, limits);
    const budget = new InflationBudget(limits, bytes);
    for (const entry of entries) {
      const path = join(folder, entry.path);
      await mkdir(entry.kind === "folder" ? path : dirname(path), { recursive: true });
      if (entry.kind === "folder") continue;
      const file = await open(path, "wx");
      try {
        await inflate(handle, zip, entry, budget, file);
        // unlike the mode given to open, not subject to the umask
        await file.chmod(keepExecutable && entry.executable ? 0o755 : 0o644);
      } finally {
        await file.close();
      }
    }
    return entries.filter((entry) => entry.kind === "file").map((entry) => entry.path);
  } finally {
    await handle.close();
  }
}

async function inflate(
  handle: FileHandle,
  zip: ZipFile,
  entry: PlannedEntry,
  budget: InflationBudget,
  file: FileHandle,
): Promise<void> {
  const { compressedSize, compressionMethod } = entry.source;
  try {
    const { fileDataStart } = await zip.readLocalFileHeaderPromise(entry.source, { minimal: true });
    const packed = Readable.from(readRange(handle, fileDataStart, fileDataStart + compressedSize), {
      objectMode: false,
    });
    const inflater = compressionMethod === 0 ? new PassThrough() : createInflateRaw();
    await pipeline(packed, inflater, budget.meter(entry), (chunks: AsyncIterable<Buffer>) =>
      writeFile(file, chunks),
    );
    // bytes after the end of the deflate stream would let an entry pose as less compressed than it is
    if ("bytesWritten" in inflater && inflater.bytesWritten !== compressedSize) throw damagedEntry(entry);
  } catch (error) {
    if (error instanceof RunnerError || isSystemError(error)) throw error;
    throw damagedEntry(entry, error);
  }
}
