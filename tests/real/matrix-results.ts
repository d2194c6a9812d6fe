import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

export interface MatrixResults {
  [engine: string]: { version: string; cases: Record<string, "passed" | "failed"> };
}

const root = join(import.meta.dirname, "../..");
const file = join(root, "data/matrix.json");

/** Keeps what the test saw; `scripts/write-agents-matrix.ts` makes the table of docs/agents.md from it. */
export async function writeResults(results: MatrixResults): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `${JSON.stringify(results, null, 2)}\n`);
}

export async function readResults(): Promise<MatrixResults> {
  const results: MatrixResults = JSON.parse(await readFile(file, "utf8"));
  return results;
}
