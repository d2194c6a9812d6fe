import { chmod } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import {
  type Agent,
  agents,
  createAcpAgent,
  createCleaner,
  createEngineManager,
  createEngines,
  createInstallationFinder,
  createJail,
  createModelCatalog,
  createModelProbe,
  openStatusFile,
  readAcpDefinitions,
  sandboxIntent,
} from "../lib/agents/index.ts";
import { type RecordStore, replaceFile } from "../lib/storage/index.ts";
import type { Config } from "./config.ts";
import { recordFilesOf } from "./record-files.ts";

/**
 * Every agent of this server: the built-in ones, and those the operator's file defines.
 * @throws Error when the file cannot be used
 */
export async function loadAgents({ acpAgents }: Config): Promise<readonly Agent[]> {
  const taken = agents.map(({ id }) => id);
  const definitions = await readAcpDefinitions(acpAgents.file, { taken, optional: acpAgents.optional });
  return [...agents, ...definitions.map(createAcpAgent)];
}

/**
 * Whether there is every engine that the settings cap: a limit that holds for nobody is a slip of the pen.
 * @throws Error saying which there is not
 */
export function assertLimitsKnown({ limits }: Config, agents: readonly Agent[]): void {
  const known = agents.map(({ id }) => id);
  const unknown = [...limits.engines.keys()].filter((engine) => !known.includes(engine));
  if (unknown.length === 0) return;
  throw new Error(
    `These environment variables cannot be used:\n  SKILL_RUNNER_ENGINE_LIMITS: there is no engine "${unknown.join('", "')}"; known engines: ${known.join(", ")}`,
  );
}

export interface EngineParts {
  config: Config;
  agents: readonly Agent[];
  environment: Readonly<Record<string, string | undefined>>;
  records: RecordStore;
  /** Believe what the status file says of CLIs that have not changed since. */
  recall: boolean;
}

/** The engines and what manages them, wired: for the server, and for scripts/agent_manager.sh. */
export function createEngineParts({ config, agents, environment, records, recall }: EngineParts) {
  const { npmPrefix, engineVersions: versions } = config;
  const statusFile = openStatusFile(join(config.dataDir, "agent_status.json"), async (path, content) => {
    await replaceFile(path, content);
    // Records are for the server's user alone; this one people read.
    await chmod(path, 0o644);
  });
  const jail = createJail({
    setting: config.sandbox,
    environment,
    agents,
    npmPrefix,
    serverFolders: [
      config.dataDir,
      config.projectDir,
      config.agentConfigDir,
      // Records may lie elsewhere.
      ...(config.storage.kind === "fs" && config.storage.folder !== null ? [config.storage.folder] : []),
    ],
    serverFiles: [config.acpAgents.file, ...recordFilesOf(config.storage)],
  });
  const finder = createInstallationFinder(npmPrefix, environment, {
    jail,
    ...(recall ? { recall: async (engine) => (await statusFile.recall(engine)).probe } : {}),
  });
  const clean = createCleaner({
    [npmPrefix]: "$NPM_CONFIG_PREFIX",
    [config.dataDir]: "$SKILL_RUNNER_DATA_DIR",
    [environment.HOME ?? homedir()]: "~",
  });
  const engines = createEngines({
    agents,
    finder,
    catalog: createModelCatalog({ finder, probe: createModelProbe({ npmPrefix, environment }), records }),
    sandbox: sandboxIntent(config.landlockEnabled),
    jail,
    landlockEnabled: config.landlockEnabled,
    versions,
    lastInstall: async (engine) => (await statusFile.recall(engine)).last_install,
    environment,
  });
  const manager = createEngineManager({
    engines,
    finder,
    statusFile,
    versions,
    bootstrap: config.bootstrapEngines,
    npmPrefix,
    environment,
    installTimeoutMs: config.engineInstallTimeoutSeconds * 1000,
    clean,
  });
  return { engines, manager, jail, clean };
}
