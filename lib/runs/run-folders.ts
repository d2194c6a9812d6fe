import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { LRUCache } from "lru-cache";
import { z } from "zod";
import { agents, ownCopyPaths } from "../agents/index.ts";
import { packFolder, unpackFolder } from "../archives/index.ts";
import { RunnerError } from "../errors.ts";
import { parseJson } from "../json.ts";
import type { LiveLog } from "../queue/index.ts";
import { mediumFailure, type RecordStore, replaceFile, syncFiles } from "../storage/index.ts";
import { catchUpLog } from "./catch-up-log.ts";
import type { Log } from "./context.ts";
import { createFolderCopies, type FolderCopy } from "./folder-copies.ts";
import { createLogTails } from "./log-tails.ts";
import { cacheFolders, type RunPaths, runPaths } from "./paths.ts";
import type { RunRecord } from "./record.ts";
import { toldSoFar } from "./state-change.ts";
import { isTerminal } from "./transitions.ts";

/**
 * The folders of runs, on a disk that may not last. Where the storage outlives the machine, a copy of a run's folder goes
 * into it with each step that is stored, so that any server on that storage has the files of any run. Where the storage lies
 * on the same disk, there is nothing to do.
 */
export interface RunFolders {
  /**
   * Puts a copy of a run's folder, as it is now, into the storage. @param run as its record will be
   * @returns what its record is to name, or null when there is nothing to copy
   */
  keep(run: RunRecord): Promise<FolderCopy | null>;
  /** Says that the record which names this step's copy is stored: what it has replaced is removed. */
  tidy(run: RunRecord): Promise<void>;
  /** Where the files of a run lie, once they are here as they were at its last step. @throws FilesUnreadable */
  here(run: RunRecord): Promise<RunPaths>;
  /** The same, for whoever works in the folder: nothing takes its place until it is let go of. */
  hold(run: RunRecord): Promise<{ paths: RunPaths; release(): void }>;
  /** Removes the copy of a run that is being removed. */
  drop(id: string): Promise<void>;
}

const rememberedRuns = 10_000;
/** Milliseconds for which a reader waits until a run that has ended is let go of. */
const releasePatienceMs = 5_000;

/** In the run's folder: which copy it was made from, or has been made to. */
export const markFile = ".kept.json";
const mark = z.object({
  id: z.string(),
  /** The step that it was made for, and the copy that it takes the place of. */
  revision: z.int().default(0),
  over: z.string().nullable().default(null),
});

/** The copy of a run's folder in the storage is not whole: asked for again, it will not be either. */
export class FilesUnreadable extends Error {
  override readonly name = "FilesUnreadable";
}

/** Folders that can be made anew, or are no one's business any more. */
const leftOut = new Set(["node_modules", ".venv", "__pycache__"]);

/**
 * @param parts.isShared the storage outlives this machine's disk
 */
export function createRunFolders(parts: {
  dataDir: string;
  /** The server's, which may move what CLIs keep. */
  environment: Readonly<Record<string, string | undefined>>;
  records: RecordStore;
  isShared: boolean;
  /** Where other servers tell what their runs do, if there are any. */
  live?: Pick<LiveLog, "after">;
  log: Pick<Log, "warn">;
}): RunFolders {
  const { dataDir, environment, records, isShared, live, log } = parts;
  // Copies of logins, which a crash may have left.
  const logins = new Set(
    agents.flatMap((agent) => ownCopyPaths(environment, agent)).map((path) => `home/${path}`),
  );
  const pathsOf = (id: string) => runPaths(dataDir, id);
  if (!isShared) {
    return {
      keep: async () => null,
      tidy: async () => undefined,
      here: async ({ request_id }) => pathsOf(request_id),
      hold: async ({ request_id }) => ({ paths: pathsOf(request_id), release() {} }),
      drop: async () => undefined,
    };
  }
  const copies = createFolderCopies(records);
  /** The revision up to which a run's folder is known to be here. */
  const known = new LRUCache<string, number>({ max: rememberedRuns });
  const fetching = new Map<string, Promise<void>>();
  const tails = live === undefined ? null : createLogTails(live);
  /** Who works in a run's folder. */
  const holders = new Map<string, Holder>();

  async function fetch(run: RunRecord, paths: RunPaths): Promise<void> {
    const copy = run.folder;
    if (copy === null || holders.has(run.request_id)) return;
    const here = await markOf(paths);
    // Nobody has made a step since: a crash came before the record could name the copy of what is here.
    const isAhead = here?.over === copy.id && run.revision < here.revision;
    if (here?.id !== copy.id && !isAhead) await replaceBy(copy, run, paths);
  }

  // Whole or not at all: it takes its place in one step, and then it lies on the disk.
  async function replaceBy(copy: FolderCopy, run: RunRecord, paths: RunPaths): Promise<void> {
    const arriving = `${paths.root}.${randomUUID()}`;
    try {
      await mkdir(arriving, { recursive: true });
      const files = await unpackFolder(copies.read(run.request_id, copy), arriving).catch(unreadable);
      // The copy was made just before the step was told; of a run that goes on, the live log may have told more.
      if (tails === null || isTerminal(run.status)) await catchUpLog(join(arriving, "events.jsonl"), run);
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

  async function arrive(run: RunRecord, paths: RunPaths): Promise<void> {
    const { request_id: id, revision } = run;
    const isNews = (known.get(id) ?? -1) < revision;
    if (isNews) await fetch(run, paths);
    // What another server has told since, of a run that goes on.
    if (!isTerminal(run.status)) await tails?.(id, paths.events, () => holders.has(id));
    if (!isNews || holders.has(id)) return;
    // Of two steps that are missing, the record tells the last one alone: the live log or the next copy has both.
    if (((await toldSoFar(paths.events)).change?.revision ?? 0) < revision - 1) return;
    // A server that was killed between a step and its telling: no copy brings that.
    await catchUpLog(paths.events, run);
    known.set(id, revision);
  }

  async function here(run: RunRecord): Promise<RunPaths> {
    const { request_id: id } = run;
    const paths = pathsOf(id);
    const holder = holders.get(id);
    if (holder !== undefined) {
      if (!isTerminal(run.status)) return paths;
      // Its end is stored a moment before it is told; or it is the end that another server has come to, and the holder has lost it.
      await Promise.race([holder.released, sleep(releasePatienceMs, undefined, { ref: false })]);
      return holders.has(id) ? paths : here(run);
    }
    const isAllHere = (known.get(id) ?? -1) >= run.revision && (tails === null || isTerminal(run.status));
    if (isAllHere) return paths;
    const arrival = (fetching.get(id) ?? Promise.resolve())
      .catch(() => undefined)
      .then(() => arrive(run, paths))
      .finally(() => fetching.get(id) === arrival && fetching.delete(id));
    fetching.set(id, arrival);
    await arrival;
    return paths;
  }

  return {
    async keep(run) {
      const { request_id: id, revision } = run;
      const { root } = pathsOf(id);
      if (!existsSync(root)) return null;
      const missing: string[] = [];
      const packed = await packFolder(root, {
        keeps: (path) => keeps(path) && !logins.has(path),
        onLeftOut: (path) => missing.push(path),
      });
      const copy = await copies.write(id, revision, packed);
      const marked = { id: copy.id, revision, over: run.folder?.id ?? null };
      await replaceFile(join(root, markFile), JSON.stringify(marked), { durable: false });
      if (missing.length > 0)
        log.warn(
          { run: id, files: missing.slice(0, 20), count: missing.length },
          "files of a job that cannot be read, or are links that lead elsewhere, are not in its copy in the storage",
        );
      return copy;
    },
    async tidy(run) {
      const { request_id: id, revision, folder } = run;
      // Not before: of two servers that make the same step, one has a copy that does not count.
      known.set(id, revision);
      if (folder !== null) await copies.tidy(id, revision, folder);
    },
    here,
    async hold(run) {
      const { request_id: id } = run;
      const paths = await here(run);
      while (fetching.has(id)) await fetching.get(id)?.catch(() => undefined);
      const holder = holders.get(id) ?? newHolder();
      holder.count += 1;
      holders.set(id, holder);
      return {
        paths,
        release() {
          holder.count -= 1;
          if (holder.count > 0) return;
          holders.delete(id);
          holder.release();
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

/** Everybody who works in one run's folder. */
interface Holder {
  count: number;
  /** Resolves when nobody does any more. */
  released: Promise<void>;
  release(): void;
}

function newHolder(): Holder {
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  return { count: 0, released, release };
}

function keeps(path: string): boolean {
  const parts = path.split("/");
  if (cacheFolders.some((folder) => path === folder || path.startsWith(`${folder}/`))) return false;
  return path !== markFile && parts[0] !== "tmp" && !parts.some((part) => leftOut.has(part));
}

async function markOf(paths: RunPaths): Promise<z.infer<typeof mark> | null> {
  const text = await readFile(join(paths.root, markFile), "utf8").catch(() => "");
  return mark.safeParse(parseJson(text)).data ?? null;
}

/** What is wrong with the bytes themselves, and not with the storage or this disk, is the same at each server. */
function unreadable(error: unknown): never {
  // The storage's own refusals are no word about the copy: another server may be let.
  if (
    error instanceof RunnerError ||
    mediumFailure(error) !== null ||
    (error instanceof Error && "syscall" in error)
  )
    throw error;
  const why = error instanceof Error ? error.message : String(error);
  throw new FilesUnreadable(`a run's folder cannot be made from its copy: ${why}`, { cause: error });
}
