import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { LRUCache } from "lru-cache";
import { z } from "zod";
import { packFolder, unpackFolder } from "../archives/index.ts";
import { type RecordStore, replaceFile } from "../storage/index.ts";
import { catchUpLog } from "./catch-up-log.ts";
import { bucketOf, type RunPaths, runPaths } from "./paths.ts";
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
  /** Removes the copy of a run that is gone. */
  drop(id: string): Promise<void>;
}

/** Bytes of a copy that one record of the storage holds. */
const pieceBytes = 4 * 1024 * 1024;
const rememberedRuns = 10_000;

/** What the storage says of a copy; the pieces lie beside it. */
const copyRecord = z.object({ revision: z.int(), pieces: z.int() });
type CopyRecord = z.infer<typeof copyRecord>;

/** What the keys of copies begin with. */
export const foldersPrefix = "folders";

/** Whether a key of the storage holds a piece of a copy, and no record. */
export function holdsBytes(key: string): boolean {
  return /^folders:[^:]+:[^:]+:r\d+:\d+$/.test(key);
}

/** In the run's folder: which copy it was made from, or has been made to. */
export const markFile = ".kept.json";
const mark = z.object({ revision: z.int() });

/** Folders that can be made anew, or are no one's business any more. */
const leftOut = new Set(["node_modules", ".venv", "__pycache__"]);

/**
 * @param parts.isShared the storage outlives this machine's disk
 */
export function createRunFolders(parts: {
  dataDir: string;
  records: RecordStore;
  isShared: boolean;
}): RunFolders {
  const { dataDir, records, isShared } = parts;
  if (!isShared) {
    return {
      keep: async () => undefined,
      here: async ({ request_id }) => runPaths(dataDir, request_id),
      drop: async () => undefined,
    };
  }
  /** The revision up to which a run's folder is known to be here. */
  const here = new LRUCache<string, number>({ max: rememberedRuns });
  const fetching = new Map<string, Promise<void>>();
  const copyOf = (id: string) => {
    const base = `${foldersPrefix}:${bucketOf(id).day}:${id}`;
    const pieces = (revision: number) => `${base}:r${revision}`;
    return { base, manifest: `${base}:copy`, pieces };
  };
  const piece = (prefix: string, n: number) => `${prefix}:${String(n).padStart(6, "0")}`;

  async function* piecesOf(prefix: string, count: number): AsyncGenerator<Uint8Array> {
    for (let n = 0; n < count; n++) {
      const bytes = await records.readBytes(piece(prefix, n));
      if (bytes === null) throw new Error(`the copy of a run's folder lacks its piece ${n}`);
      yield bytes;
    }
  }

  async function fetch(run: RunRecord, paths: RunPaths, tries = 3): Promise<void> {
    const { manifest, pieces } = copyOf(run.request_id);
    const copy = copyRecord.safeParse(await records.read(manifest)).data;
    if (copy === undefined || (await revisionOf(paths)) >= copy.revision) return;
    try {
      await unpack(copy, pieces(copy.revision), paths);
    } catch (error) {
      // A newer copy may have taken its place meanwhile.
      if (tries === 1) throw error;
      return fetch(run, paths, tries - 1);
    }
    // The copy was made just before the step was told.
    await catchUpLog(dataDir, run);
  }

  async function unpack(copy: CopyRecord, prefix: string, paths: RunPaths): Promise<void> {
    // Whole or not at all: it takes its place in one step.
    const arriving = `${paths.root}.${randomUUID()}`;
    try {
      await mkdir(arriving, { recursive: true });
      await unpackFolder(piecesOf(prefix, copy.pieces), arriving);
      await replaceFile(join(arriving, markFile), JSON.stringify({ revision: copy.revision }));
      await rm(paths.root, { recursive: true, force: true });
      await rename(arriving, paths.root);
    } finally {
      await rm(arriving, { recursive: true, force: true });
    }
  }

  return {
    async keep(run) {
      const paths = runPaths(dataDir, run.request_id);
      if (!existsSync(paths.root)) return;
      const { base, manifest, pieces } = copyOf(run.request_id);
      const prefix = pieces(run.revision);
      let count = 0;
      for await (const bytes of inPieces(await packFolder(paths.root, keeps), pieceBytes)) {
        await records.writeBytes(piece(prefix, count), bytes);
        count += 1;
      }
      await records.write(manifest, { revision: run.revision, pieces: count });
      await replaceFile(join(paths.root, markFile), JSON.stringify({ revision: run.revision }), {
        durable: false,
      });
      here.set(run.request_id, run.revision);
      for (const name of await records.children(base))
        if (name !== "copy" && `${base}:${name}` !== prefix) await records.clear(`${base}:${name}`);
    },
    async here(run) {
      const { request_id: id } = run;
      const paths = runPaths(dataDir, id);
      if ((here.get(id) ?? -1) >= run.revision) return paths;
      const arrival = fetching.get(id) ?? fetch(run, paths).finally(() => fetching.delete(id));
      fetching.set(id, arrival);
      await arrival;
      here.set(id, run.revision);
      return paths;
    },
    drop: (id) => records.clear(copyOf(id).base),
  };
}

function keeps(path: string): boolean {
  const parts = path.split("/");
  return path !== markFile && parts[0] !== "tmp" && !parts.some((part) => leftOut.has(part));
}

async function revisionOf(paths: RunPaths): Promise<number> {
  const text = await readFile(join(paths.root, markFile), "utf8").catch(() => "");
  try {
    return mark.parse(JSON.parse(text)).revision;
  } catch {
    return -1;
  }
}

/** The same bytes in pieces of one size; the last one may be smaller. */
async function* inPieces(stream: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  let held: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream) {
    held.push(chunk);
    size += chunk.byteLength;
    while (size >= bytes) {
      const all = Buffer.concat(held);
      yield all.subarray(0, bytes);
      held = [all.subarray(bytes)];
      size -= bytes;
    }
  }
  if (size > 0) yield Buffer.concat(held);
}
