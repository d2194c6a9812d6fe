import { readdir } from "node:fs/promises";
import { join } from "node:path";

/** Makes files and folders durable, and their names (fsync(2)). One that is not there is passed over. */
export type Sync = (paths: readonly string[]) => Promise<void>;

/** All at once would need as many file descriptors as there are files. */
const batch = 64;

/** Makes a folder durable with everything in it. */
export async function syncTree(dir: string, sync: Sync): Promise<void> {
  const entries = await readdir(dir, { recursive: true });
  const paths = [dir, ...entries.map((path) => join(dir, path))];
  for (let from = 0; from < paths.length; from += batch) await sync(paths.slice(from, from + batch));
}
