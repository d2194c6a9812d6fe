import type { Agent } from "./agent.ts";
import { claude } from "./claude/index.ts";
import { codex } from "./codex/index.ts";
import { gemini } from "./gemini/index.ts";
import { iflow } from "./iflow/index.ts";
import { opencode } from "./opencode/index.ts";
import { qwen } from "./qwen/index.ts";

export { createAcpAgent, readAcpDefinitions } from "./acp/index.ts";
export type { Agent, AgentCommand, ModelInfo, SandboxIntent, StreamReader, TurnRequest } from "./agent.ts";
export { askCli } from "./ask-cli.ts";
export { createModelCatalog } from "./catalog.ts";
export { createEngines, type EngineStatus, type Engines } from "./engines.ts";
export { agentEnvironment, trackingVariable } from "./environment.ts";
export { type AgentEvent, type FailureKind, nameTools, type Usage } from "./events.ts";
export { createInstallationFinder, type Installation } from "./installation.ts";
export { createJail, type Enclosed, type Jail, type JailSetting, ownCopyPaths } from "./jail/index.ts";
export {
  credentialsFingerprint,
  dropImportLeftovers,
  importCredentials,
  keyVariable,
  loginMethods,
  startDeviceLogin,
} from "./login/index.ts";
export {
  type BootstrapStep,
  bootstrapConfig,
  createCleaner,
  createEngineManager,
  createUpgrades,
  type EngineManager,
  type InstallOutcome,
  installAgent,
  openStatusFile,
  parseEngineSelection,
  parseVersionOverrides,
  type Upgrades,
  upgradeRecord,
} from "./manager/index.ts";
export { createModelProbe } from "./model-probe.ts";
export { dropProbeLeftovers } from "./probe-folders.ts";
export { sandboxIntent } from "./sandbox.ts";
export { startProcess } from "./start-process.ts";
export { addUsage, createTurnSummary, type TurnSummary } from "./turn-summary.ts";

/** Every agent this server can drive. */
export const agents: readonly Agent[] = [codex, gemini, iflow, claude, opencode, qwen];
