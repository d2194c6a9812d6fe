import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/** What loads each file of functions/, by its path in there. */
export type FunctionFiles = ReadonlyMap<string, () => Promise<object>>;

const folder = join(import.meta.dirname, "..", "functions");

/** Lists functions/. The build puts a fixed table in place of this file: a built server reads nothing of itself again. */
export async function functionFiles(): Promise<FunctionFiles> {
  const files = (await readdir(folder, { recursive: true })).filter(
    (file) => file.endsWith(".ts") && !file.endsWith(".test.ts") && !file.startsWith("_"),
  );
  return new Map(files.map((file) => [file, () => import(pathToFileURL(join(folder, file)).href)]));
}
