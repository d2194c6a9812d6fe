import { readdir } from "node:fs/promises";
import type { RunPaths } from "./paths.ts";

/** How many turns a run has had. While it is in hand its record in storage does not count them yet; its log folders do. */
export async function turnsOnDisk(paths: RunPaths, recorded: number): Promise<number> {
  const names = await readdir(paths.root).catch(() => []);
  return Math.max(recorded, ...names.map((name) => Number(/^turn-(\d+)$/.exec(name)?.[1] ?? 0)));
}
