import { realpath } from "node:fs/promises";
import { join } from "node:path";
import { type RunPaths, repliesFolder, turnPaths } from "./paths.ts";
import { entriesOf } from "./steady-folder.ts";
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
    // One more than there is room for may be the one that is not shown.
    for (const { name, isFolder, bytes } of (await entriesOf(folder, maxEntries + 1)) ?? []) {
      if (name === repliesFolder) continue;
      if (entries.length >= maxEntries) return;
      const path = prefix === "" ? name : `${prefix}/${name}`;
      entries.push({ path, name, is_dir: isFolder, depth, bytes });
      if (isFolder) await walk(join(folder, name), path, depth + 1);
    }
  };
  const workspace = await realpath(paths.workspace).catch(() => null);
  if (workspace !== null) await walk(workspace, "", 0);
  return { entries, truncated: entries.length >= maxEntries };
}
