import { z } from "zod";
import { RunnerError } from "../errors.ts";
import type { Agent, ModelInfo, ModelSnapshot } from "./agent.ts";
import type { Installation, InstallationFinder } from "./installation.ts";
import type { ModelProbe } from "./model-probe.ts";
import type { Records } from "./records.ts";

export type ModelSource = "pinned_snapshot" | "runtime_probe_cache";

/** Why the models are not exactly those of the installed version. */
export type FallbackReason = "cli_version_unknown" | "no_semver_match" | "no_match" | "probe_failed";

export interface ListedModel extends ModelInfo {
  provider: string | null;
  provider_id: string | null;
  /** The id without its provider. */
  model: string;
  source: ModelSource;
}

export interface EngineModels {
  engine: string;
  cli_version_detected: string | null;
  snapshot_version_used: string;
  source: ModelSource;
  fallback_reason: FallbackReason | null;
  models: ListedModel[];
}

export interface ModelManifest {
  engine: string;
  cli_version_detected: string | null;
  manifest: { engine: string; snapshots: { version: string; file: string }[] };
  resolved_snapshot_version: string;
  resolved_snapshot_file: string;
  fallback_reason: FallbackReason | null;
  models: ListedModel[];
}

/** The models of each engine: told by its CLI, or from snapshots of what a version knew. */
export interface ModelCatalog {
  models(agent: Agent): Promise<EngineModels>;
  manifest(agent: Agent): Promise<ModelManifest>;
  /**
   * Keeps an operator's list for the installed version; the server's own and earlier ones are never changed.
   * @throws RunnerError ENGINE_NOT_INSTALLED, MODEL_SNAPSHOT_CONFLICT
   */
  addSnapshot(agent: Agent, models: ModelInfo[]): Promise<ModelManifest>;
}

export interface CatalogOptions {
  finder: InstallationFinder;
  probe: ModelProbe;
  /** Where operators' snapshots are kept. */
  records: Records;
}

const exactVersion = /^\d+\.\d+\.\d+[\w.+-]*$/;

const modelInfo = z.object({
  id: z.string(),
  display_name: z.string(),
  deprecated: z.boolean(),
  notes: z.string().nullable(),
  supported_effort: z.array(z.string()),
});
const storedSnapshot = z.object({ version: z.string(), models: z.array(modelInfo) });

export function createModelCatalog({ finder, probe, records }: CatalogOptions): ModelCatalog {
  const adding = new Set<string>();
  const snapshotsOf = async (agent: Agent): Promise<ModelSnapshot[]> => {
    const byVersion = new Map(agent.models.map((snapshot) => [snapshot.version, snapshot]));
    for (const version of await records.children(`models:${agent.id}`)) {
      const stored = storedSnapshot.safeParse(await records.read(`models:${agent.id}:${version}`));
      if (stored.success) byVersion.set(stored.data.version, stored.data);
    }
    return [...byVersion.values()].sort((a, b) => compareVersions(a.version, b.version));
  };
  const manifest = async (agent: Agent): Promise<ModelManifest> => {
    const [installation, snapshots] = await Promise.all([finder.find(agent), snapshotsOf(agent)]);
    const { snapshot, fallback } = pick(snapshots, installation?.version ?? null);
    return {
      engine: agent.id,
      cli_version_detected: installation?.version ?? null,
      manifest: {
        engine: agent.id,
        snapshots: snapshots.map(({ version }) => ({ version, file: fileOf(version) })),
      },
      resolved_snapshot_version: snapshot.version,
      resolved_snapshot_file: fileOf(snapshot.version),
      fallback_reason: fallback,
      models: snapshot.models.map((model) => listed(model, "pinned_snapshot")),
    };
  };
  return {
    async models(agent) {
      const installation = await finder.find(agent);
      const probed = await probe(agent, installation);
      if (installation !== null && Array.isArray(probed)) return fromProbe(agent, installation, probed);
      const { snapshot, fallback } = pick(await snapshotsOf(agent), installation?.version ?? null);
      return {
        engine: agent.id,
        cli_version_detected: installation?.version ?? null,
        snapshot_version_used: snapshot.version,
        source: "pinned_snapshot",
        fallback_reason: fallback ?? (probed === "failed" ? "probe_failed" : null),
        models: snapshot.models.map((model) => listed(model, "pinned_snapshot")),
      };
    },
    manifest,
    async addSnapshot(agent, models) {
      const version = await versionToDescribe(agent, finder);
      const key = `models:${agent.id}:${version}`;
      const isKnown = (await snapshotsOf(agent)).some((snapshot) => snapshot.version === version);
      if (isKnown || adding.has(key))
        throw conflict(`There is a list for ${agent.id} ${version} already; lists are only added.`);
      adding.add(key);
      try {
        await records.write(key, { version, models, added_at: new Date().toISOString() });
      } finally {
        adding.delete(key);
      }
      return manifest(agent);
    },
  };
}

async function versionToDescribe(agent: Agent, finder: InstallationFinder): Promise<string> {
  if (agent.modelProbe !== null)
    throw conflict(`The models of ${agent.id} are asked of its CLI; there is nothing to add.`);
  const installation = await finder.find(agent);
  if (installation === null)
    throw new RunnerError(
      "ENGINE_NOT_INSTALLED",
      `The models are kept for the installed version, and ${agent.id} is not installed.`,
    );
  const { version } = installation;
  if (version !== null && exactVersion.test(version)) return version;
  throw conflict(`The models are kept for the installed version, and ${agent.id} does not say which it is.`);
}

function conflict(message: string): RunnerError {
  return new RunnerError("MODEL_SNAPSHOT_CONFLICT", message);
}

function fromProbe(agent: Agent, { version }: Installation, models: ModelInfo[]): EngineModels {
  return {
    engine: agent.id,
    cli_version_detected: version,
    snapshot_version_used: version ?? "",
    source: "runtime_probe_cache",
    fallback_reason: null,
    models: models.map((model) => listed(model, "runtime_probe_cache")),
  };
}

/** `provider/model` is taken apart, as the CLIs with several providers spell it. */
function listed(info: ModelInfo, source: ModelSource): ListedModel {
  const slash = info.id.indexOf("/");
  const provider = slash > 0 ? info.id.slice(0, slash) : null;
  return {
    ...info,
    provider,
    provider_id: provider,
    model: info.id.slice(slash > 0 ? slash + 1 : 0),
    source,
  };
}

function fileOf(version: string): string {
  return `models_${version}.json`;
}

/** @param ascending snapshots by version */
function pick(ascending: readonly ModelSnapshot[], version: string | null) {
  const newest = ascending.at(-1) ?? { version: "0.0.0", models: [] };
  if (version === null) return { snapshot: newest, fallback: "cli_version_unknown" as const };
  if (!/^\d+(\.\d+)*/.test(version)) return { snapshot: newest, fallback: "no_semver_match" as const };
  const match =
    ascending.find((snapshot) => snapshot.version === version) ??
    ascending.filter((snapshot) => compareVersions(snapshot.version, version) <= 0).at(-1);
  return match ? { snapshot: match, fallback: null } : { snapshot: newest, fallback: "no_match" as const };
}

/** Compares dotted numbers; what follows them ("-beta.1") does not count. */
function compareVersions(a: string, b: string): number {
  const [left, right] = [numbersOf(a), numbersOf(b)];
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function numbersOf(version: string): number[] {
  return (/^\d+(\.\d+)*/.exec(version)?.[0] ?? "0").split(".").map(Number);
}
