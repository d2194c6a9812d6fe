import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { decodeTime } from "ulid";
import { z } from "zod";
import { type RecordStore, replaceFile } from "../storage/index.ts";
import { bucketOf, isRunId } from "./paths.ts";

const environment = z.record(z.string(), z.string());
type Variables = z.infer<typeof environment>;

/** Milliseconds after a run's id was made in which another server may be about to make it. */
const arrivingMs = 10 * 60_000;

/**
 * Keeps `runtime_options.env` of a run that has not ended: beside the records, and gone with the run's end. It must be kept, or a
 * queued job would lose it in a restart.
 */
export interface RunSecrets {
  keep(runId: string, env: Variables | undefined): Promise<void>;
  read(runId: string): Promise<Variables>;
  /** Forgets what belongs to none of these runs: a crash came between keeping it and accepting the run, or after its end. */
  forgetAllBut(runIds: readonly string[]): Promise<void>;
  forget(runId: string): Promise<void>;
  /** Takes over what was kept for these runs while the server was set up the other way: alone, or as one of several. */
  adopt(runIds: readonly string[]): Promise<void>;
}

/** For one server: files in its data directory, readable by it alone. @param records where several servers had kept it */
export function createRunSecrets(dataDir: string, records: RecordStore): RunSecrets {
  const files = inFiles(dataDir);
  return { ...files, adopt: (runIds) => move(inRecords(records), files, runIds) };
}

/** For several servers, in the storage that they share: who may read it may read these. */
export function createSharedRunSecrets(dataDir: string, records: RecordStore): RunSecrets {
  const shared = inRecords(records);
  return { ...shared, adopt: (runIds) => move(inFiles(dataDir), shared, runIds) };
}

interface Place extends Omit<RunSecrets, "adopt"> {
  /** Ids of runs for which there is something. */
  kept(): Promise<string[]>;
}

async function move(from: Place, to: Place, runIds: readonly string[]): Promise<void> {
  const wanted = new Set(runIds);
  for (const id of await from.kept()) {
    if (!wanted.has(id)) continue;
    await to.keep(id, await from.read(id));
    await from.forget(id);
  }
}

function inFiles(dataDir: string): Place {
  const folder = join(dataDir, "run_secrets");
  const suffix = ".env.json";
  const pathOf = (runId: string) => join(folder, `${runId}${suffix}`);
  const names = async () => (existsSync(folder) ? await readdir(folder) : []);
  return {
    async keep(runId, env) {
      if (env === undefined || Object.keys(env).length === 0) return;
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await replaceFile(pathOf(runId), JSON.stringify(env));
    },
    async read(runId) {
      if (!existsSync(pathOf(runId))) return {};
      return environment.parse(JSON.parse(await readFile(pathOf(runId), "utf8")));
    },
    async forgetAllBut(runIds) {
      const kept = new Set(runIds.map(pathOf));
      const paths = (await names()).map((name) => join(folder, name));
      await Promise.all(paths.filter((path) => !kept.has(path)).map((path) => rm(path)));
    },
    async forget(runId) {
      if (existsSync(pathOf(runId))) await rm(pathOf(runId), { force: true });
    },
    kept: async () =>
      (await names()).filter((name) => name.endsWith(suffix)).map((name) => name.slice(0, -suffix.length)),
  };
}

function inRecords(records: RecordStore): Place {
  /** What belonged to no run at the last look: a list of runs may be older than what is compared with it. */
  let leftBefore = new Set<string>();
  const keyOf = (runId: string) => `secrets:${bucketOf(runId).day}:${runId}`;
  const kept = async () => {
    const days = await records.children("secrets");
    const ids = await Promise.all(days.map((day) => records.children(`secrets:${day}`)));
    return ids.flat().filter(isRunId);
  };
  const forget = (runId: string) => records.remove(keyOf(runId));
  return {
    async keep(runId, env) {
      if (env !== undefined && Object.keys(env).length > 0) await records.write(keyOf(runId), env);
    },
    read: async (runId) => environment.parse((await records.read(keyOf(runId))) ?? {}),
    async forgetAllBut(runIds) {
      const living = new Set(runIds);
      const isLeft = (id: string) => !living.has(id) && Date.now() - decodeTime(id) > arrivingMs;
      const left = (await kept()).filter(isLeft);
      for (const id of left) if (leftBefore.has(id)) await forget(id);
      leftBefore = new Set(left);
    },
    forget,
    kept,
  };
}
