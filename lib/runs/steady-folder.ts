import { constants, type Dirent, existsSync } from "node:fs";
import { lstat, open, readdir, readlink } from "node:fs/promises";
import { join } from "node:path";

/** What lies in a folder: its name, whether it is a folder, and of a file its size in bytes. */
export interface Entry {
  name: string;
  isFolder: boolean;
  bytes: number | null;
}

const descriptors = "/proc/self/fd";

/**
 * What lies in a folder that an agent may replace in that very moment, by a link say. The folder is held open, and it is looked
 * where it then lies (proc_pid_fd(5)): what another process puts in its place is not seen. Without such a /proc there is
 * no runner's sandbox to get out of.
 * @param folder absolute, and free of links
 * @param most how many entries are given, the first by name
 * @returns names ascending; null when there is no such folder any more
 */
export async function entriesOf(folder: string, most: number): Promise<Entry[] | null> {
  try {
    const held = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    try {
      const itself = join(descriptors, String(held.fd));
      const isPinned = existsSync(descriptors);
      if (isPinned && (await readlink(itself)) !== folder) return null;
      const at = isPinned ? itself : folder;
      const entries = await readdir(at, { withFileTypes: true });
      const first = entries.sort((a, b) => (a.name < b.name ? -1 : 1)).slice(0, most);
      return await Promise.all(first.map((entry) => describe(at, entry)));
    } finally {
      await held.close();
    }
  } catch (error) {
    if (error instanceof Error && "code" in error && gone.includes(String(error.code))) return null;
    throw error;
  }
}

/** What an agent can do to a folder. */
const gone = ["ENOENT", "ENOTDIR", "ELOOP", "EACCES", "EPERM"];

async function describe(folder: string, entry: Dirent): Promise<Entry> {
  const { name } = entry;
  const info = entry.isFile() ? await lstat(join(folder, name)).catch(() => null) : null;
  return { name, isFolder: entry.isDirectory(), bytes: info?.isFile() ? info.size : null };
}
