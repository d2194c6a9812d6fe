import { join } from "node:path";
import { decodeTime } from "ulid";

/** A run's id is a ULID: it sorts by time, and its time says where its record and its folder lie. */
export const runIdPattern = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;

export function isRunId(text: string): boolean {
  return runIdPattern.test(text);
}

/** `2026-11-24` and `1720` for a run made at 17:27: a day's records in buckets of ten minutes (UTC). */
export function bucketOf(runId: string): { day: string; slot: string } {
  const iso = new Date(decodeTime(runId)).toISOString();
  return { day: iso.slice(0, 10), slot: `${iso.slice(11, 13)}${iso.slice(14, 15)}0` };
}

/** Where the files of a run lie, all absolute but `relative`. */
export interface RunPaths {
  /** Below the data directory: what the API may show. */
  relative: string;
  root: string;
  /** The agent's working directory: the only folder it is meant to write to. */
  workspace: string;
  uploads: string;
  artifacts: string;
  temporary: string;
  /** HOME in the runner's sandbox: what the CLI keeps of the run, its sessions above all. */
  home: string;
  events: string;
  result: string;
}

/** The folder of a run: `runs/<day>/<id>`, so that retention drops whole days. */
export function runPaths(dataDir: string, runId: string): RunPaths {
  const relative = join("runs", bucketOf(runId).day, runId);
  const root = join(dataDir, relative);
  const workspace = join(root, "workspace");
  return {
    relative,
    root,
    workspace,
    uploads: join(workspace, "uploads"),
    artifacts: join(workspace, "artifacts"),
    temporary: join(root, "tmp"),
    home: join(root, "home"),
    events: join(root, "events.jsonl"),
    result: join(root, "result.json"),
  };
}

/** Where the files of replies lie, below the uploads: nothing of theirs is shown but slot, name and size. */
export const repliesFolder = ".interaction-replies";

/** The folder of one reply's files: absolute, and as the agent sees it from its workspace. */
export function replyFolder(paths: RunPaths, interactionId: number, receipt: string) {
  const relative = `uploads/${repliesFolder}/${interactionId}/${receipt}`;
  return { relative, absolute: join(paths.workspace, relative) };
}

/** Logs of one turn; turns of a run count from 1. */
export function turnPaths(paths: RunPaths, turn: number) {
  const folder = join(paths.root, `turn-${turn}`);
  return {
    folder,
    prompt: join(folder, "prompt.txt"),
    stdout: join(folder, "stdout.log"),
    stderr: join(folder, "stderr.log"),
    meta: join(folder, "meta.json"),
  };
}

/** What programs can fetch again, in the run's home: `.of-variables` stands in for folders that variables name. */
export const cacheFolders = [
  ...["home/.cache", "home/.npm"],
  ...["UV_CACHE_DIR", "UV_PROJECT_ENVIRONMENT", "XDG_CACHE_HOME"].map((name) => `home/.of-variables/${name}`),
];
