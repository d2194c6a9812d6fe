import { access, constants } from "node:fs/promises";
import { join } from "node:path";

/** Folders of the data directory that another user made, such as root in the container, and this one cannot write to. */
export async function foreignFolders(dataDir: string): Promise<string[]> {
  const folders = ["state", "runs"].map((name) => join(dataDir, name));
  const isForeign = (folder: string) =>
    access(folder, constants.W_OK).then(
      () => false,
      (error: unknown) => error instanceof Error && "code" in error && error.code === "EACCES",
    );
  const foreign = await Promise.all(folders.map(isForeign));
  return folders.filter((_, n) => foreign[n]);
}
