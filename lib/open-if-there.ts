import { type FileHandle, open } from "node:fs/promises";

/**
 * Opens a file for reading; null when there is none. Whatever else keeps it from being read (no descriptors, say) is
 * thrown: it must not be taken for a file that is not there.
 */
export async function openIfThere(path: string): Promise<FileHandle | null> {
  try {
    return await open(path, "r");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}
