import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { type RecordStore, replaceFile } from "../storage/index.ts";
import { bucketOf } from "./paths.ts";

const environment = z.record(z.string(), z.string());

/**
 * Keeps `runtime_options.env` of a run that has not ended: beside the records, readable by the server alone, and gone
 * with the run's end. It must be on disk, or a queued job would lose it in a restart.
 */
export function createRunSecrets(dataDir: string) {
  const folder = join(dataDir, "run_secrets");
  const pathOf = (runId: string) => join(folder, `${runId}.env.json`);
  return {
    async keep(runId: string, env: Record<string, string> | undefined): Promise<void> {
      if (env === undefined || Object.keys(env).length === 0) return;
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await replaceFile(pathOf(runId), JSON.stringify(env));
    },
    async read(runId: string): Promise<Record<string, string>> {
      if (!existsSync(pathOf(runId))) return {};
      return environment.parse(JSON.parse(await readFile(pathOf(runId), "utf8")));
    },
    /** Forgets what belongs to none of these runs: a crash came between keeping it and accepting the run. */
    async forgetAllBut(runIds: readonly string[]): Promise<void> {
      const kept = new Set(runIds.map(pathOf));
      const found = existsSync(folder) ? await readdir(folder) : [];
      await Promise.all(
        found
          .map((name) => join(folder, name))
          .filter((path) => !kept.has(path))
          .map((path) => rm(path)),
      );
    },
    async forget(runId: string): Promise<void> {
      if (existsSync(pathOf(runId))) await rm(pathOf(runId), { force: true });
    },
  };
}
export type RunSecrets = ReturnType<typeof createRunSecrets>;

/** The same in a storage that several servers share: who may read it may read these. */
export function createSharedRunSecrets(records: RecordStore): RunSecrets {
  const keyOf = (runId: string) => `secrets:${bucketOf(runId).day}:${runId}`;
  return {
    async keep(runId, env) {
      if (env !== undefined && Object.keys(env).length > 0) await records.write(keyOf(runId), env);
    },
    read: async (runId) => environment.parse((await records.read(keyOf(runId))) ?? {}),
    // A run may be on its way to exist on another server: what is left over goes with its day.
    forgetAllBut: async () => undefined,
    forget: (runId) => records.remove(keyOf(runId)),
  };
}
