import type { PackOptions } from "./tarball.ts";

/** A folder as a tar archive in pieces (`tarball.ts`). Loaded when asked for: most servers never are. */
export async function packFolder(folder: string, options: PackOptions): Promise<AsyncIterable<Uint8Array>> {
  return (await import("./tarball.ts")).packFolder(folder, options);
}

/** The other way round; gives the absolute paths of the files. */
export async function unpackFolder(pieces: AsyncIterable<Uint8Array>, folder: string): Promise<string[]> {
  return (await import("./tarball.ts")).unpackFolder(pieces, folder);
}
