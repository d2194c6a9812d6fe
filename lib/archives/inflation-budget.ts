import { Transform } from "node:stream";
import { crc32 } from "node:zlib";
import type { RunnerError } from "../errors.ts";
import type { ExtractLimits } from "./limits.ts";
import type { PlannedEntry } from "./read-entries.ts";
import { invalidEntry, oversizedEntry } from "./refusals.ts";

/** Small files of one repeated character compress a thousandfold and hurt nobody. */
const ratioExemptBytes = 1024 * 1024;

/** Counts what really comes out of the inflater, over all entries of one archive. */
export class InflationBudget {
  readonly #limits: ExtractLimits;
  readonly #archiveBytes: number;
  #total = 0;

  /** `archiveBytes` is the size of the zip file: entries that share packed bytes cannot make it look larger. */
  constructor(limits: ExtractLimits, archiveBytes: number) {
    this.#limits = limits;
    this.#archiveBytes = archiveBytes;
  }

  /** A pass-through for one entry's content; fails as soon as a limit is crossed, and at the end if it is damaged. */
  meter(entry: PlannedEntry): Transform {
    let bytes = 0;
    let checksum = 0;
    return new Transform({
      transform: (chunk: Buffer, _encoding, done) => {
        bytes += chunk.length;
        this.#total += chunk.length;
        checksum = crc32(chunk, checksum);
        const excess = this.#findExcess(entry, bytes);
        if (excess === undefined) done(null, chunk);
        else done(excess);
      },
      flush: (done) => {
        const intact = bytes === entry.source.uncompressedSize && checksum === entry.source.crc32;
        done(intact ? null : damagedEntry(entry));
      },
    });
  }

  #findExcess({ path, source }: PlannedEntry, bytes: number): RunnerError | undefined {
    const { maxEntryBytes, maxTotalBytes, maxRatio } = this.#limits;
    if (bytes > maxEntryBytes) {
      return oversizedEntry(path, {
        problem: `is over ${maxEntryBytes} bytes unpacked`,
        remedy: "Leave it out or make it smaller.",
      });
    }
    if (this.#total > maxTotalBytes) {
      return oversizedEntry(path, {
        problem: `brings the archive over ${maxTotalBytes} bytes unpacked`,
        remedy: "Put less into the zip.",
      });
    }
    if (isOverRatio(bytes, source.compressedSize, maxRatio)) {
      return oversizedEntry(path, {
        problem: `unpacks to over ${maxRatio} times its packed size`,
        remedy: "Leave it out: it looks like a zip bomb.",
      });
    }
    if (isOverRatio(this.#total, this.#archiveBytes, maxRatio)) {
      return oversizedEntry(path, {
        problem: `brings the archive over ${maxRatio} times its packed size`,
        remedy: "Put less into the zip: it looks like a zip bomb.",
      });
    }
    return undefined;
  }
}

/** ARCHIVE_INVALID for content that is not what the archive's directory says it is. */
export function damagedEntry({ path }: PlannedEntry, cause?: unknown): RunnerError {
  const problem = "is damaged: its content does not match its size or checksum";
  return invalidEntry(path, { problem, remedy: "Make the zip again and upload it again." }, cause);
}

function isOverRatio(inflated: number, packed: number, maxRatio: number): boolean {
  return inflated > ratioExemptBytes && inflated > packed * maxRatio;
}
