/** A folder as a tar archive in pieces (`tarball.ts`). Loaded when asked for: most servers never are. */
export async function packFolder(
  folder: string,
  keeps: (path: string) => boolean,
): Promise<AsyncIterable<Uint8Array>> {
  return (await import("./tarball.ts")).packFolder(folder, keeps);
}

/** The other way round. */
export async function unpackFolder(pieces: AsyncIterable<Uint8Array>, folder: string): Promise<void> {
  return (await import("./tarball.ts")).unpackFolder(pieces, folder);
}
