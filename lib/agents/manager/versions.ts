import type { Agent } from "../agent.ts";

/** Versions an operator wants instead of the known-good ones, by engine. */
export type VersionOverrides = ReadonlyMap<string, string>;

/** `all`: every engine that can be had; otherwise the ids. */
export type EngineSelection = "all" | readonly string[];

const engineName = /^[a-z][a-z0-9_-]*$/;
/** An exact version, or a tag of the registry such as `latest`. No ranges: what was asked for must be what is run. */
const versionOrTag = /^(\d+\.\d+\.\d+[\w.+-]*|[a-z][\w.-]*)$/;

/**
 * Reads `codex=0.170.0,claude=latest`.
 * @throws Error saying which entry cannot be used
 */
export function parseVersionOverrides(text: string): VersionOverrides {
  const overrides = new Map<string, string>();
  for (const entry of listed(text)) {
    const [engine = "", version = "", ...more] = entry.split("=").map((part) => part.trim());
    if (!engineName.test(engine) || !versionOrTag.test(version) || more.length > 0) {
      throw new Error(`"${entry}" is not ENGINE=VERSION, such as codex=0.170.0 or claude=latest`);
    }
    if (overrides.has(engine)) throw new Error(`"${engine}" is named twice`);
    overrides.set(engine, version);
  }
  return overrides;
}

/**
 * Reads `all`, `none`, or a comma list of engines.
 * @throws Error saying which entry cannot be used
 */
export function parseEngineSelection(text: string): EngineSelection {
  const entries = listed(text);
  if (entries.length === 1 && entries[0] === "all") return "all";
  if (entries.length === 1 && entries[0] === "none") return [];
  for (const entry of entries) {
    if (!engineName.test(entry) || entry === "all" || entry === "none")
      throw new Error(`"${entry}" does not fit: say "all", "none", or engines such as codex,gemini`);
  }
  return [...new Set(entries)];
}

function listed(text: string): string[] {
  return text
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "");
}

/** The version to install: the operator's, or the one known to work. Null for a CLI that does not come from npm. */
export function wantedVersion(agent: Agent, overrides: VersionOverrides): string | null {
  if (agent.npmPackage === null) return null;
  return overrides.get(agent.id) ?? agent.knownGoodVersion;
}

/** Why an engine cannot be installed by the manager, or null. An override stands for "I know where to get it". */
export function whyNotInstallable(agent: Agent, overrides: VersionOverrides): string | null {
  if (agent.npmPackage === null) {
    return agent.unavailable ?? `The ${agent.title} does not come from npm; put "${agent.binary}" into PATH.`;
  }
  if (overrides.has(agent.id)) return null;
  if (agent.unavailable !== null) return agent.unavailable;
  return agent.knownGoodVersion === null
    ? "No version of it is known to work; name one in SKILL_RUNNER_ENGINE_VERSIONS."
    : null;
}
