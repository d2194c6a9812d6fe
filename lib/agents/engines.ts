import { basename } from "node:path";
import { RunnerError } from "../errors.ts";
import type { Agent, ModelInfo, SandboxIntent } from "./agent.ts";
import type { EngineModels, ModelCatalog, ModelManifest } from "./catalog.ts";
import { authReady, credentialFiles } from "./credentials.ts";
import type { Installation, InstallationFinder } from "./installation.ts";
import { type Jail, type JailState, requiredWords, sandboxRequired } from "./jail/index.ts";
import { configFolderError } from "./manager/config-folders.ts";
import { explainLandlock, type Landlock } from "./manager/landlock.ts";
import type { LastInstall } from "./manager/status-file.ts";
import { type VersionOverrides, wantedVersion, whyNotInstallable } from "./manager/versions.ts";

export interface EngineStatus {
  engine: string;
  title: string;
  present: boolean;
  cli_version_detected: string | null;
  source: "managed" | "path" | null;
  /** Null for a CLI that is configured by hand. */
  npm_package: string | null;
  known_good_version: string | null;
  /** What to do when it is not present. */
  how_to_install: string | null;
  /** Whether the agent's tools run in a sandbox here: by intent, and by what the machine allows. */
  sandbox: SandboxState | null;
  /** Whose sandbox it is: the runner's around the whole CLI, the CLI's own around its tools, or one in the other. */
  sandbox_by: SandboxMeans[];
  /** Somebody has logged in, or a key is in the server's environment. */
  auth_ready: boolean;
  error: string | null;
}

export type SandboxMeans = "bubblewrap" | "cli";

/**
 * "none": the CLI has no sandbox of its own; "unavailable": it has, but it does not work on this machine, or the runner's is
 * required and does not.
 */
export type SandboxState = "on" | "off" | "unavailable" | "none";

export interface EngineDetail extends EngineStatus {
  /** Below the npm prefix for a managed CLI, else its name in PATH. */
  path: string | null;
  /** What an upgrade installs. */
  wanted_version: string | null;
  sandbox_reason: string | null;
  /** Files below HOME that a login leaves, and whether they exist. */
  credential_files: Record<string, boolean>;
  /** Why the CLI cannot keep its settings and logins, or null. */
  config_error: string | null;
  /** What went wrong last: at asking the CLI, or at installing it. */
  last_error: string | null;
  last_install: LastInstall | null;
  capabilities: { resume: boolean; output_schema: boolean; efforts: string[] };
  /** What one run needs, as seen on real runs. */
  estimate: { memory_mib: number; processes: number; descriptors: number };
}

export interface Engines {
  ids: readonly string[];
  /** @throws RunnerError ENGINE_NOT_FOUND */
  get(id: string): Agent;
  /** @throws RunnerError ENGINE_NOT_FOUND when unknown, ENGINE_NOT_INSTALLED when its CLI is not on this machine. */
  installed(id: string, options?: { maxAgeMs?: number }): Promise<Installation>;
  statuses(): Promise<EngineStatus[]>;
  /** @throws RunnerError ENGINE_NOT_FOUND */
  detail(id: string): Promise<EngineDetail>;
  /** Whether agents run in a sandbox, and why. */
  landlock(): Promise<Landlock>;
  /** The runner's own sandbox, and why agents run in it or not. */
  jail(): Promise<Omit<JailState, "final">>;
  /** @throws RunnerError SANDBOX_REQUIRED when no job may run without the runner's sandbox, and it does not work. */
  assertSandboxed(): Promise<void>;
  /** @throws RunnerError ENGINE_NOT_FOUND */
  models(id: string): Promise<EngineModels>;
  /** @throws RunnerError ENGINE_NOT_FOUND */
  manifest(id: string): Promise<ModelManifest>;
  /** @throws RunnerError ENGINE_NOT_FOUND, ENGINE_NOT_INSTALLED, MODEL_SNAPSHOT_CONFLICT */
  addModels(id: string, models: ModelInfo[]): Promise<ModelManifest>;
}

export interface EnginesOptions {
  agents: readonly Agent[];
  finder: InstallationFinder;
  catalog: ModelCatalog;
  sandbox: SandboxIntent;
  jail: Jail;
  /** `LANDLOCK_ENABLED`, null when unset. */
  landlockEnabled: boolean | null;
  versions: VersionOverrides;
  /** How the last install of an engine went, by the status file. */
  lastInstall(engine: string): Promise<LastInstall | null>;
  /** The server's environment: says whether keys are set and where config folders lie. */
  environment: Readonly<Record<string, string | undefined>>;
}

/** The agents this server knows, and what the machine has of them. */
export function createEngines(options: EnginesOptions): Engines {
  const { agents, finder, catalog, sandbox, environment } = options;
  const byId = new Map(agents.map((agent) => [agent.id, agent]));
  const get = (id: string) => {
    const agent = byId.get(id);
    if (agent) return agent;
    throw new RunnerError(
      "ENGINE_NOT_FOUND",
      `There is no engine "${id}". Known engines: ${[...byId.keys()].join(", ")}.`,
    );
  };
  const landlock = async () => {
    const installed = await Promise.all(
      agents.map(async (agent) => [agent.id, await finder.find(agent)] as const),
    );
    const tried = installed.flatMap(([engine, found]) =>
      found === null || found.sandbox === "none" || found.version === null
        ? []
        : [{ engine, works: found.sandbox === "works" }],
    );
    return explainLandlock(options.landlockEnabled, sandbox, tried);
  };
  const status = async (agent: Agent): Promise<EngineStatus> => {
    const [installation, jail] = await Promise.all([finder.find(agent), options.jail.state()]);
    const own = installation === null ? null : sandboxState(sandbox, installation);
    return {
      engine: agent.id,
      title: agent.title,
      present: installation !== null,
      cli_version_detected: installation?.version ?? null,
      source: installation?.source ?? null,
      npm_package: agent.npmPackage,
      known_good_version: agent.knownGoodVersion,
      how_to_install: installation === null ? howToInstall(agent, options.versions) : null,
      sandbox: own === null ? null : stateWithin(jail, own),
      sandbox_by: own === null || isLacking(jail) ? [] : meansOf(jail, own),
      auth_ready: await authReady(agent, environment),
      error: installation?.error ?? null,
    };
  };
  return {
    ids: [...byId.keys()],
    get,
    landlock,
    async jail() {
      const { setting, works, reason } = await options.jail.state();
      return { setting, works, reason };
    },
    async assertSandboxed() {
      const jail = await options.jail.state();
      if (isLacking(jail)) throw sandboxRequired(jail.reason);
    },
    async installed(id, options_) {
      const agent = get(id);
      const installation = await finder.find(agent, options_);
      if (installation) return installation;
      throw new RunnerError(
        "ENGINE_NOT_INSTALLED",
        `The ${agent.title} is not installed. ${howToInstall(agent, options.versions)}`,
        { retryAfterSeconds: 30 },
      );
    },
    statuses: () => Promise.all(agents.map(status)),
    async detail(id) {
      const agent = get(id);
      const [known, files, configError, lastInstall] = await Promise.all([
        status(agent),
        credentialFiles(agent, environment),
        configFolderError(agent, environment),
        options.lastInstall(id),
      ]);
      const { memoryMiB, processes, descriptors } = agent.estimate;
      const { resume, outputSchema, efforts } = agent.capabilities;
      return {
        ...known,
        path: known.source === "managed" ? `bin/${agent.binary}` : known.source && basename(agent.binary),
        wanted_version: wantedVersion(agent, options.versions),
        sandbox_reason:
          known.sandbox === null
            ? null
            : sandboxReason(known.sandbox, await landlock(), await options.jail.state()),
        credential_files: files,
        config_error: configError,
        last_error: known.error ?? lastInstall?.error ?? null,
        last_install: lastInstall,
        capabilities: { resume, output_schema: outputSchema, efforts },
        estimate: { memory_mib: memoryMiB, processes, descriptors },
      };
    },
    models: async (id) => catalog.models(get(id)),
    manifest: async (id) => catalog.manifest(get(id)),
    addModels: async (id, models) => catalog.addSnapshot(get(id), models),
  };
}

function isLacking({ setting, works }: JailState): boolean {
  return setting === "required" && !works;
}

function meansOf(jail: JailState, own: SandboxState): SandboxMeans[] {
  return [...(jail.works ? (["bubblewrap"] as const) : []), ...(own === "on" ? (["cli"] as const) : [])];
}

/** What the sandboxes of CLI and runner come to together. */
function stateWithin(jail: JailState, own: SandboxState): SandboxState {
  if (jail.works) return "on";
  return isLacking(jail) ? "unavailable" : own;
}

/** What an operator does to get a CLI that is not there. */
function howToInstall(agent: Agent, versions: VersionOverrides): string {
  const reason = whyNotInstallable(agent, versions);
  if (reason !== null) return reason;
  return `Install it with: scripts/agent_manager.sh --upgrade-engine ${agent.id} (or: npm install -g ${agent.npmPackage}@${wantedVersion(agent, versions)})`;
}

function sandboxState(intent: SandboxIntent, { sandbox }: Installation): SandboxState {
  if (sandbox === "none") return "none";
  if (intent === "unrestricted") return "off";
  return sandbox === "works" ? "on" : "unavailable";
}

function sandboxReason(state: SandboxState, { reason }: Landlock, jail: JailState): string {
  if (jail.works) return "The runner's sandbox is around the whole CLI: bubblewrap was tried here and works.";
  if (isLacking(jail)) return `${jail.reason} ${requiredWords}`;
  const own = {
    on: "The CLI's own sandbox was tried here and works.",
    off: reason,
    unavailable:
      "The CLI's own sandbox was tried here and does not work (user namespaces or seccomp may be forbidden): its tools run unconfined.",
    none: "The CLI has no sandbox of its own that is used: the container or the server's user is the boundary.",
  }[state];
  return `${own} The runner's sandbox is not used: ${jail.reason}`;
}
