import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ulid } from "ulid";
import { replaceFile } from "../lib/storage/index.ts";

/** The name of a server among several that share their work. It goes with the data directory, where sessions of its agents lie. */
export async function nodeIdOf(dataDir: string): Promise<string> {
  const path = join(dataDir, "node-id");
  const known = (await readFile(path, "utf8").catch(() => "")).trim();
  if (/^[0-9a-z]{10,40}$/.test(known)) return known;
  const made = ulid().toLowerCase();
  await replaceFile(path, `${made}\n`);
  return made;
}
