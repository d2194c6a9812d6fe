import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { type RunPaths, repliesFolder, turnPaths } from "./paths.ts";
import { readTail } from "./tail.ts";

/** Most of each log that one answer carries, in bytes. */
const logBytes = 1024 * 1024;

export interface RunLogs {
  turn: number;
  turns: number;
  prompt: string;
  stdout: string;
  stderr: string;
  /** Which of the three were too long and show only their end. */
  truncated: string[];
}

/** Prompt and output of a turn (the last one unless named). Empty texts when it has not begun. */
export async function readLogs(paths: RunPaths, turns: number, wanted?: number): Promise<RunLogs> {
  const turn = wanted ?? turns;
  const files = turnPaths(paths, turn);
  const [prompt, stdout, stderr] = await Promise.all([
    readTail(files.prompt, logBytes),
    readTail(files.stdout, logBytes),
    readTail(files.stderr, logBytes),
  ]);
  const truncated = Object.entries({ prompt, stdout, stderr }).filter(([, tail]) => tail.truncated);
  return {
    turn,
    turns,
    prompt: prompt.text,
    stdout: stdout.text,
    stderr: stderr.text,
    truncated: truncated.map(([name]) => name),
  };
}

export interface FileEntry {
  path: string;
  name: string;
  is_dir: boolean;
  depth: number;
  bytes: number | null;
}

const maxEntries = 5_000;

/** The workspace as a flat tree, folders before what is in them, names ascending. */
export async function listWorkspace(paths: RunPaths): Promise<{ entries: FileEntry[]; truncated: boolean }> {
  const entries: FileEntry[] = [];
  const walk = async (folder: string, prefix: string, depth: number): Promise<void> => {
    const found = await readdir(folder, { withFileTypes: true }).catch(() => []);
    for (const item of found.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (item.name === repliesFolder) continue;
      if (entries.length >= maxEntries) return;
      const path = prefix === "" ? item.name : `${prefix}/${item.name}`;
      const isDir = item.isDirectory();
      const bytes = item.isFile() ? (await stat(join(folder, item.name))).size : null;
      entries.push({ path, name: item.name, is_dir: isDir, depth, bytes });
      if (isDir) await walk(join(folder, item.name), path, depth + 1);
    }
  };
  await walk(paths.workspace, "", 0);
  return { entries, truncated: entries.length >= maxEntries };
}
