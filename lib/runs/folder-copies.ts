import { createHash, randomUUID } from "node:crypto";
import { z } from "zod";
import type { RecordStore } from "../storage/index.ts";
import { bucketOf } from "./paths.ts";

/** What the keys of copies begin with. */
export const foldersPrefix = "folders";

/** Whether a key of the storage holds a piece of a copy, and no record. */
export function holdsBytes(key: string): boolean {
  return /^folders:[^:]+:[^:]+:r[^:]+:\d+$/.test(key);
}

/** Bytes of a copy that one record of the storage holds. */
const pieceBytes = 4 * 1024 * 1024;

/** The copy of a run's folder, as the run's record names it. */
export const folderCopy = z.object({
  /** Begins with the revision of the run that it was made at; no two copies have the same. */
  id: z.string(),
  pieces: z.int(),
  sha256: z.string(),
});
export type FolderCopy = z.infer<typeof folderCopy>;

/** The copies of runs' folders in a storage: the one that a run's record names counts, the others are on their way in or out. */
export interface FolderCopies {
  /** @throws Error when a piece is missing, as a newer copy took its place, or it is not what was written */
  read(runId: string, copy: FolderCopy): AsyncIterable<Uint8Array>;
  /** Writes a copy beside the one that counts. */
  write(runId: string, revision: number, bytes: AsyncIterable<Uint8Array>): Promise<FolderCopy>;
  /** Removes copies that the one which counts by now has replaced; never those of later steps. */
  tidy(runId: string, revision: number, counts: FolderCopy): Promise<void>;
  drop(runId: string): Promise<void>;
}

export function createFolderCopies(records: RecordStore): FolderCopies {
  const baseOf = (runId: string) => `${foldersPrefix}:${bucketOf(runId).day}:${runId}`;
  const pieceOf = (runId: string, id: string, n: number) =>
    `${baseOf(runId)}:${id}:${String(n).padStart(6, "0")}`;
  return {
    async *read(runId, { id, pieces, sha256 }) {
      const hash = createHash("sha256");
      for (let n = 0; n < pieces; n++) {
        const bytes = await records.readBytes(pieceOf(runId, id, n));
        if (bytes === null) throw new Error(`the copy of a run's folder lacks its piece ${n}`);
        hash.update(bytes);
        yield bytes;
      }
      if (hash.digest("hex") !== sha256)
        throw new Error("the copy of a run's folder is not what was written");
    },
    async write(runId, revision, stream) {
      const id = `r${revision}-${randomUUID().slice(0, 8)}`;
      const hash = createHash("sha256");
      let pieces = 0;
      for await (const bytes of inPieces(stream, pieceBytes)) {
        hash.update(bytes);
        await records.writeBytes(pieceOf(runId, id, pieces), bytes);
        pieces += 1;
      }
      return { id, pieces, sha256: hash.digest("hex") };
    },
    async tidy(runId, revision, counts) {
      for (const name of await records.children(baseOf(runId)))
        if (name !== counts.id && revisionOf(name) <= revision)
          await records.clear(`${baseOf(runId)}:${name}`);
    },
    drop: (runId) => records.clear(baseOf(runId)),
  };
}

function revisionOf(copyId: string): number {
  return Number.parseInt(copyId.slice(1), 10);
}

/** The same bytes in pieces of one size; the last one may be smaller. */
async function* inPieces(stream: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  let held: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream) {
    held.push(chunk);
    size += chunk.byteLength;
    while (size >= bytes) {
      const all = Buffer.concat(held);
      yield all.subarray(0, bytes);
      held = [all.subarray(bytes)];
      size -= bytes;
    }
  }
  if (size > 0) yield Buffer.concat(held);
}
