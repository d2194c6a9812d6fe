import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { create, extract } from "tar";

/**
 * A folder as a gzipped tar, in pieces: files with their modes and times, links, empty folders. Sockets and pipes are left out.
 * @param keeps which paths below the folder ("a/b") go along, with all that is in them
 */
export function packFolder(folder: string, keeps: (path: string) => boolean): AsyncIterable<Uint8Array> {
  const filter = (path: string) => keeps(path.replace(/^\.\//, ""));
  return create({ cwd: folder, gzip: { level: 4 }, portable: true, filter }, ["."]);
}

/**
 * Unpacks what `packFolder` made into a folder that is there. Nothing is written outside of it.
 * @throws Error when the pieces are not all there
 */
export async function unpackFolder(pieces: AsyncIterable<Uint8Array>, folder: string): Promise<void> {
  await pipeline(Readable.from(pieces), extract({ cwd: folder, strict: true, preserveOwner: false }));
}
