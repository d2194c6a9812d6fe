import { access } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { RunnerError } from "../errors.ts";
import type { Agent, ModelInfo, SandboxIntent } from "./agent.ts";
import type { Installation, InstallationFinder } from "./installation.ts";

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
  /** Whether the agent's tools run in the CLI's own sandbox here: by intent, and by what the machine allows. */
  sandbox: SandboxState | null;
  /** Somebody has logged in, or a key is in the server's environment. */
  auth_ready: boolean;
  error: string | null;
}

/** "none": the CLI has no sandbox of its own; "unavailable": it has, but it does not work on this machine. */
export type SandboxState = "on" | "off" | "unavailable" | "none";

export interface EngineModels {
  engine: string;
  cli_version_detected: string | null;
  snapshot_version_used: string;
  source: "pinned_snapshot";
  fallback_reason: "cli_version_unknown" | "no_semver_match" | "no_match" | null;
  models: (ModelInfo & { provider: null; provider_id: null; model: string; source: "pinned_snapshot" })[];
}

export interface Engines {
  ids: readonly string[];
  /** @throws RunnerError ENGINE_NOT_FOUND */
  get(id: string): Agent;
  /** @throws RunnerError ENGINE_NOT_FOUND when unknown, ENGINE_NOT_INSTALLED when its CLI is not on this machine. */
  installed(id: string, options?: { maxAgeMs?: number }): Promise<Installation>;
  statuses(): Promise<EngineStatus[]>;
  models(id: string): Promise<EngineModels>;
}

export interface EnginesOptions {
  agents: readonly Agent[];
  finder: InstallationFinder;
  sandbox: SandboxIntent;
  /** The server's environment: says whether keys are set and where config folders lie. */
  environment: Readonly<Record<string, string | undefined>>;
}

/** The agents this server knows, and what the machine has of them. */
export function createEngines({ agents, finder, sandbox, environment }: EnginesOptions): Engines {
  const byId = new Map(agents.map((agent) => [agent.id, agent]));
  const get = (id: string) => {
    const agent = byId.get(id);
    if (agent) return agent;
    throw new RunnerError(
      "ENGINE_NOT_FOUND",
      `There is no engine "${id}". Known engines: ${[...byId.keys()].join(", ")}.`,
    );
  };
  return {
    ids: [...byId.keys()],
    get,
    async installed(id, options) {
      const agent = get(id);
      const installation = await finder.find(agent, options);
      if (installation) return installation;
      throw new RunnerError(
        "ENGINE_NOT_INSTALLED",
        `The ${agent.title} is not installed. ${howToInstall(agent)}`,
        { retryAfterSeconds: 30 },
      );
    },
    statuses: () =>
      Promise.all(
        agents.map(async (agent) => {
          const installation = await finder.find(agent);
          return {
            engine: agent.id,
            title: agent.title,
            present: installation !== null,
            cli_version_detected: installation?.version ?? null,
            source: installation?.source ?? null,
            npm_package: agent.npmPackage,
            known_good_version: agent.knownGoodVersion,
            how_to_install: installation === null ? howToInstall(agent) : null,
            sandbox: installation === null ? null : sandboxState(sandbox, installation),
            auth_ready: await authReady(agent, environment),
            error: installation?.error ?? null,
          };
        }),
      ),
    async models(id) {
      const agent = get(id);
      const version = (await finder.find(agent))?.version ?? null;
      const { snapshot, fallback } = pickSnapshot(agent, version);
      return {
        engine: id,
        cli_version_detected: version,
        snapshot_version_used: snapshot.version,
        source: "pinned_snapshot",
        fallback_reason: fallback,
        models: snapshot.models.map((model) => ({
          ...model,
          provider: null,
          provider_id: null,
          model: model.id,
          source: "pinned_snapshot",
        })),
      };
    },
  };
}

/** What an operator does to get a CLI that is not there. */
function howToInstall(agent: Agent): string {
  if (agent.unavailable !== null) return agent.unavailable;
  if (agent.npmPackage === null) return `Put an executable "${agent.binary}" into PATH.`;
  return `Install it with: npm install -g ${agent.npmPackage}@${agent.knownGoodVersion}`;
}

function sandboxState(intent: SandboxIntent, { sandbox }: Installation): SandboxState {
  if (sandbox === "none") return "none";
  if (intent === "unrestricted") return "off";
  return sandbox === "works" ? "on" : "unavailable";
}

async function authReady(agent: Agent, environment: EnginesOptions["environment"]): Promise<boolean> {
  if (agent.keyVariables.some((name) => (environment[name] ?? "") !== "")) return true;
  const found = Object.values(await credentialFiles(agent, environment));
  return agent.credentialRule === "any" ? found.some(Boolean) : found.length > 0 && found.every(Boolean);
}

/** Which of an agent's credential files exist. */
export async function credentialFiles(
  agent: Agent,
  environment: EnginesOptions["environment"],
): Promise<Record<string, boolean>> {
  const [main] = agent.homes;
  const moved = agent.configVariable === null ? undefined : environment[agent.configVariable];
  const pathOf = (file: string) =>
    main !== undefined && moved !== undefined && file.startsWith(`${main.home}/`)
      ? join(moved, file.slice(main.home.length + 1))
      : join(environment.HOME ?? homedir(), file);
  const exists = (file: string) =>
    access(pathOf(file)).then(
      () => true,
      () => false,
    );
  return Object.fromEntries(
    await Promise.all(agent.credentialFiles.map(async (file) => [file, await exists(file)] as const)),
  );
}

function pickSnapshot(agent: Agent, version: string | null) {
  const ascending = [...agent.models].sort((a, b) => compareVersions(a.version, b.version));
  const newest = ascending.at(-1) ?? { version: "0.0.0", models: [] };
  if (version === null) return { snapshot: newest, fallback: "cli_version_unknown" as const };
  if (!/^\d+(\.\d+)*/.test(version)) return { snapshot: newest, fallback: "no_semver_match" as const };
  const match = ascending.filter((snapshot) => compareVersions(snapshot.version, version) <= 0).at(-1);
  return match ? { snapshot: match, fallback: null } : { snapshot: newest, fallback: "no_match" as const };
}

/** Compares dotted numbers; what follows them ("-beta.1") does not count. */
function compareVersions(a: string, b: string): number {
  return a.localeCompare(b, "en", { numeric: true });
}
