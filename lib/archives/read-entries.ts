import type { Entry, ZipFile } from "yauzl";
import { RunnerError } from "../errors.ts";
import { decodeName, findNameProblem, isSystemLitter } from "./entry-name.ts";
import { type EntryKind, EntryTree } from "./entry-tree.ts";
import type { ExtractLimits } from "./limits.ts";
import { invalidEntry, oversizedEntry, type Refusal } from "./refusals.ts";

/** An entry that is safe to write: a checked relative path, unlike any other of its archive. */
export interface PlannedEntry {
  /** Without a trailing slash. */
  path: string;
  kind: EntryKind;
  executable: boolean;
  source: Entry;
}

const store = 0;
const deflate = 8;
const encryptedFlags = 0x1 | 0x40 | 0x2000;
const fileTypeBits = 0o170000;
const regularType = 0o100000;
const folderType = 0o040000;
const executeBits = 0o111;
/** Volume label and device. Not reparse point: every file that OneDrive keeps is one. */
const specialDosAttributes = 0x8 | 0x40;

/** Reads the whole directory of the archive before anything is written. Throws ARCHIVE_INVALID or ARCHIVE_TOO_LARGE. */
export async function readEntries(zip: ZipFile, limits: ExtractLimits): Promise<PlannedEntry[]> {
  if (zip.entryCount > limits.maxEntries) {
    throw new RunnerError(
      "ARCHIVE_TOO_LARGE",
      `The archive has ${zip.entryCount} entries; at most ${limits.maxEntries} are allowed. Put fewer files into it.`,
    );
  }
  const tree = new EntryTree();
  const entries: PlannedEntry[] = [];
  let declaredBytes = 0;
  for await (const source of zip.eachEntry()) {
    const entry = plan(source);
    if (isSystemLitter(entry.path)) continue;
    const problem = findEntryProblem(entry);
    if (problem !== undefined) throw invalidEntry(entry.path, problem);
    tree.add(entry.path, entry.kind);
    // what an entry declares is not trusted, but too much of it need not be unpacked to be refused
    declaredBytes += source.uncompressedSize;
    if (source.uncompressedSize > limits.maxEntryBytes || declaredBytes > limits.maxTotalBytes) {
      throw oversizedEntry(entry.path, {
        problem: "makes the archive too large unpacked",
        remedy: `At most ${limits.maxEntryBytes} bytes per file and ${limits.maxTotalBytes} in all are allowed.`,
      });
    }
    entries.push(entry);
  }
  return entries;
}

function plan(source: Entry): PlannedEntry {
  const name = decodeName(source);
  const isFolder = name.endsWith("/") && name !== "/";
  const path = isFolder ? name.slice(0, -1) : name;
  const problem = findNameProblem(path);
  if (problem !== undefined) throw invalidEntry(name, problem);
  const executable = (unixMode(source) & executeBits) !== 0;
  return { path, kind: isFolder ? "folder" : "file", executable, source };
}

function findEntryProblem({ kind, source }: PlannedEntry): Refusal | undefined {
  if ((source.generalPurposeBitFlag & encryptedFlags) !== 0) {
    return { problem: "is encrypted", remedy: "Make the zip again without a password." };
  }
  const type = unixMode(source) & fileTypeBits;
  const special = type !== 0 && type !== regularType && type !== folderType;
  if (special || (source.externalFileAttributes & specialDosAttributes) !== 0) {
    return {
      problem: "is a link or another special file",
      remedy: "Put the file itself into the zip instead.",
    };
  }
  if (kind === "file" && type === folderType) {
    return { problem: "is a folder that is named like a file", remedy: "Make the zip with another tool." };
  }
  if (kind === "folder" && source.uncompressedSize > 0) {
    return { problem: "is a folder with content of its own", remedy: "Make the zip with another tool." };
  }
  if (source.compressionMethod !== store && source.compressionMethod !== deflate) {
    const problem = `is compressed with method ${source.compressionMethod}, which is not supported`;
    return { problem, remedy: 'Make the zip again with "deflate" or without compression.' };
  }
  return undefined;
}

/** The st_mode that Unix tools keep in the upper half; 0 from tools that have none. */
function unixMode(source: Entry): number {
  return source.externalFileAttributes >>> 16;
}
