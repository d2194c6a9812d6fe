import type { Agent } from "../agent.ts";
import type { EngineStatus, Engines } from "../engines.ts";
import { type Installation, type InstallationFinder, rememberedProbe } from "../installation.ts";
import { configFolderError } from "./config-folders.ts";
import { InstallFailed, type InstallOptions, installAgent } from "./install.ts";
import type { CliEntry, LastInstall, StatusFile } from "./status-file.ts";
import { type EngineSelection, type VersionOverrides, wantedVersion, whyNotInstallable } from "./versions.ts";

/** What came of installing one engine. */
export interface InstallOutcome {
  engine: string;
  status: "succeeded" | "failed" | "skipped";
  /** Null when nothing was to be done. */
  action: "install" | "upgrade" | null;
  from_version: string | null;
  to_version: string | null;
  /** npm's; null when it did not run or was ended. */
  exit_code: number | null;
  /** Why it failed, or why nothing was done. */
  error: string | null;
}

export interface InstallHooks extends Pick<InstallOptions, "signal" | "onOutput" | "onWait"> {
  onBegin?(begun: { action: "install" | "upgrade"; from_version: string | null }): void;
}

/** Brings the agent CLIs in, up to date, and says what there is. */
export interface EngineManager {
  /** Looks at every CLI and writes the status file. */
  check(): Promise<EngineStatus[]>;
  /** The engines that `--upgrade` covers: those that can be had from npm. */
  installable(): readonly string[];
  /** Why an engine is not among them, or null. @throws RunnerError ENGINE_NOT_FOUND */
  whyNotInstallable(engine: string): string | null;
  /** Installs one engine if it cannot be found (or is managed and does not run). Never rejects. */
  ensure(engine: string, hooks?: InstallHooks): Promise<InstallOutcome>;
  /** The engines a new container is given, by `SKILL_RUNNER_BOOTSTRAP_ENGINES`. */
  bootstrapEngines(): readonly string[];
  /** Installs one engine at the wanted version. Never rejects for what npm does. @throws RunnerError ENGINE_NOT_FOUND */
  upgrade(engine: string, hooks?: InstallHooks): Promise<InstallOutcome>;
}

export interface EngineManagerOptions {
  engines: Pick<Engines, "ids" | "get" | "statuses">;
  finder: InstallationFinder;
  statusFile: StatusFile;
  versions: VersionOverrides;
  bootstrap: EngineSelection;
  npmPrefix: string;
  environment: Readonly<Record<string, string | undefined>>;
  installTimeoutMs: number;
  /** Takes host paths and credentials out of what npm says. */
  clean(text: string): string;
}

/** @throws Error when a setting names an engine that there is not */
export function createEngineManager(options: EngineManagerOptions): EngineManager {
  const { engines, finder, statusFile, versions, npmPrefix } = options;
  assertKnown("SKILL_RUNNER_ENGINE_VERSIONS", [...versions.keys()], engines.ids);
  if (options.bootstrap !== "all")
    assertKnown("SKILL_RUNNER_BOOTSTRAP_ENGINES", options.bootstrap, engines.ids);
  /** Installs that ended since the status file was last written. */
  const ended = new Map<string, LastInstall>();

  const whyNot = (id: string) => whyNotInstallable(engines.get(id), versions);
  const check = async () => {
    const statuses = await engines.statuses();
    const entries = await Promise.all(
      statuses.map(async (status) => [status.engine, await entryOf(status)] as const),
    );
    await statusFile.write(Object.fromEntries(entries));
    // From here on the file remembers them, and another process may have a newer word. Not those that ended meanwhile.
    for (const [id, { last_install }] of entries) if (ended.get(id) === last_install) ended.delete(id);
    return statuses;
  };
  const entryOf = async (status: EngineStatus): Promise<CliEntry> => {
    const agent = engines.get(status.engine);
    const installation = await finder.find(agent);
    return {
      present: status.present,
      version: status.cli_version_detected ?? "",
      path: installation?.path ?? null,
      source: status.source,
      sandbox: status.sandbox,
      auth_ready: status.auth_ready,
      wanted_version: wantedVersion(agent, versions),
      error: status.error,
      config_error: await configFolderError(agent, options.environment),
      how_to_install: status.how_to_install,
      checked_at: new Date().toISOString(),
      last_install: ended.get(agent.id) ?? (await statusFile.recall(agent.id)).last_install,
      probe: installation && rememberedProbe(installation),
    };
  };
  const upgrade = async (id: string, hooks: InstallHooks = {}): Promise<InstallOutcome> => {
    const agent = engines.get(id);
    const before = await finder.find(agent);
    const from = before?.version ?? null;
    const outcome = { engine: id, action: null, from_version: from, to_version: from, exit_code: null };
    const reason = whyNot(id);
    if (reason !== null) return { ...outcome, status: "skipped", error: reason };
    const version = wantedVersion(agent, versions);
    const isThere = (found: Installation | null) =>
      found?.source === "managed" && found.error === null && found.version === version;
    if (isThere(before)) return { ...outcome, status: "succeeded", error: null };
    const action = before === null ? "install" : "upgrade";
    hooks.onBegin?.({ action, from_version: from });
    // Another process may have installed it while this one waited: again would take a version away that a job may hold.
    const isDone = async () => isThere(await finder.find(agent));
    const result = await attempt(agent, version, { ...hooks, isDone });
    ended.set(id, { at: new Date().toISOString(), action, wanted_version: version, ...result });
    const after = await finder.find(agent);
    return {
      ...outcome,
      ...result,
      action,
      status: result.error === null ? "succeeded" : "failed",
      to_version: after?.version ?? null,
    };
  };
  const attempt = async (
    agent: Agent,
    version: string | null,
    hooks: InstallHooks & Pick<InstallOptions, "isDone">,
  ) => {
    try {
      const { environment, installTimeoutMs: timeoutMs } = options;
      await installAgent(agent, { npmPrefix, version, environment, timeoutMs, ...hooks });
      return { exit_code: 0, error: null };
    } catch (error) {
      const message = options.clean(error instanceof Error ? error.message : String(error));
      return { exit_code: error instanceof InstallFailed ? error.exitCode : null, error: message };
    }
  };
  const installable = () => engines.ids.filter((id) => whyNot(id) === null);
  return {
    check,
    installable,
    whyNotInstallable: whyNot,
    upgrade,
    bootstrapEngines: () => (options.bootstrap === "all" ? installable() : options.bootstrap),
    async ensure(id, hooks) {
      const found = await finder.find(engines.get(id));
      const isBroken = found?.source === "managed" && found.error !== null;
      if (found === null || isBroken) return upgrade(id, hooks);
      const { version } = found;
      return {
        engine: id,
        status: "succeeded",
        action: null,
        from_version: version,
        to_version: version,
        exit_code: null,
        error: null,
      };
    },
  };
}

function assertKnown(setting: string, named: readonly string[], known: readonly string[]): void {
  const unknown = named.filter((id) => !known.includes(id));
  if (unknown.length === 0) return;
  throw new Error(
    `These environment variables cannot be used:\n  ${setting}: there is no engine "${unknown.join('", "')}"; there are ${known.join(", ")}`,
  );
}
