import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { LRUCache } from "lru-cache";
import { z } from "zod";
import { packFolder, unpackFolder } from "../archives/index.ts";
import { parseJson } from "../json.ts";
import { type RecordStore, replaceFile, syncFiles } from "../storage/index.ts";
import { catchUpLog } from "./catch-up-log.ts";
import type { Log } from "./context.ts";
import { createFolderCopies, type FolderCopy } from "./folder-copies.ts";
import { type RunPaths, runPaths } from "./paths.ts";
import type { RunRecord } from "./record.ts";

/**
 * The folders of runs, on a disk that may not last. Where the storage outlives the machine, a copy of a run's folder goes
 * into it with each step that is stored, so that any server on that storage has the files of any run. Where the storage lies
 * on the same disk, there is nothing to do.
 */
export interface RunFolders {
  /** Puts a copy of a run's folder, as it is now, into the storage. @param run as its record will be */
  keep(run: RunRecord): Promise<void>;
  /** Where the files of a run lie, once they are here as they were at its last step. */
  here(run: RunRecord): Promise<RunPaths>;
  /** The same, for whoever works in the folder: nothing takes its place until it is let go of. */
  hold(run: RunRecord): Promise<{ paths: RunPaths; release(): void }>;
  /** Removes the copy of a run that is being removed. */
  drop(id: string): Promise<void>;
}

const rememberedRuns = 10_000;

/** In the run's folder: which copy it was made from, or has been made to. */
export const markFile = ".kept.json";
const mark = z.object({ id: z.string() });

/** Folders that can be made anew, or are no one's business any more. */
const leftOut = new Set(["node_modules", ".venv", "__pycache__"]);

/**
 * @param parts.isShared the storage outlives this machine's disk
 */
export function createRunFolders(parts: {
  dataDir: string;
  records: RecordStore;
  isShared: boolean;
  log: Pick<Log, "warn">;
}): RunFolders {
  const { dataDir, records, isShared, log } = parts;
  const pathsOf = (id: string) => runPaths(dataDir, id);
  if (!isShared) {
    return {
      keep: async () => undefined,
      here: async ({ request_id }) => pathsOf(request_id),
      hold: async ({ request_id }) => ({ paths: pathsOf(request_id), release() {} }),
      drop: async () => undefined,
    };
  }
  const copies = createFolderCopies(records);
  /** The revision up to which a run's folder is known to be here. */
  const known = new LRUCache<string, number>({ max: rememberedRuns });
  const fetching = new Map<string, Promise<void>>();
  /** How many work in a run's folder. */
  const holders = new Map<string, number>();

  async function fetch(run: RunRecord, paths: RunPaths, tries = 3): Promise<void> {
    const copy = await copies.find(run.request_id);
    if (copy === null || (await markOf(paths)) === copy.id || holders.has(run.request_id)) return;
    try {
      await replaceBy(copy, run, paths);
    } catch (error) {
      // A newer copy may have taken its place meanwhile.
      if (tries === 1) throw error;
      await fetch(run, paths, tries - 1);
    }
  }

  // Whole or not at all: it takes its place in one step, and then it lies on the disk.
  async function replaceBy(copy: FolderCopy, run: RunRecord, paths: RunPaths): Promise<void> {
    const arriving = `${paths.root}.${randomUUID()}`;
    try {
      await mkdir(arriving, { recursive: true });
      const files = await unpackFolder(copies.read(run.request_id, copy), arriving);
      // The copy was made just before the step was told.
      await catchUpLog(join(arriving, "events.jsonl"), run);
      await syncFiles(files);
      await replaceFile(join(arriving, markFile), JSON.stringify({ id: copy.id }));
      // Whoever took it in hand meanwhile goes on with what is here.
      if (holders.has(run.request_id)) return;
      await rm(paths.root, { recursive: true, force: true });
      await rename(arriving, paths.root);
    } finally {
      await rm(arriving, { recursive: true, force: true });
    }
  }

  async function here(run: RunRecord): Promise<RunPaths> {
    const { request_id: id, revision } = run;
    const paths = pathsOf(id);
    if ((known.get(id) ?? -1) >= revision) return paths;
    const arrival = fetching.get(id) ?? fetch(run, paths).finally(() => fetching.delete(id));
    fetching.set(id, arrival);
    await arrival;
    known.set(id, revision);
    return paths;
  }

  return {
    async keep(run) {
      const { request_id: id, revision } = run;
      const { root } = pathsOf(id);
      if (!existsSync(root)) return;
      const missing: string[] = [];
      const packed = await packFolder(root, { keeps, onLeftOut: (path) => missing.push(path) });
      const copy = await copies.write(id, revision, packed);
      await replaceFile(join(root, markFile), JSON.stringify({ id: copy.id }), { durable: false });
      known.set(id, revision);
      if (missing.length > 0)
        log.warn(
          { run: id, files: missing.slice(0, 20), count: missing.length },
          "files of a job that cannot be read, or are links that lead elsewhere, are not in its copy in the storage",
        );
    },
    here,
    async hold(run) {
      const { request_id: id } = run;
      const paths = await here(run);
      holders.set(id, (holders.get(id) ?? 0) + 1);
      return {
        paths,
        release() {
          const left = (holders.get(id) ?? 1) - 1;
          if (left === 0) holders.delete(id);
          else holders.set(id, left);
        },
      };
    },
    async drop(id) {
      await fetching.get(id)?.catch(() => undefined);
      known.delete(id);
      await copies.drop(id);
    },
  };
}

function keeps(path: string): boolean {
  const parts = path.split("/");
  return path !== markFile && parts[0] !== "tmp" && !parts.some((part) => leftOut.has(part));
}

async function markOf(paths: RunPaths): Promise<string | null> {
  const text = await readFile(join(paths.root, markFile), "utf8").catch(() => "");
  return mark.safeParse(parseJson(text)).data?.id ?? null;
}
