import type { Agent } from "./agent.ts";
import { codex } from "./codex/index.ts";

export type { Agent, AgentCommand, ModelInfo, SandboxIntent, StreamReader, TurnRequest } from "./agent.ts";
export { createEngines, type EngineModels, type EngineStatus, type Engines } from "./engines.ts";
export { agentEnvironment, trackingVariable } from "./environment.ts";
export { type AgentEvent, type FailureKind, nameTools, type Usage } from "./events.ts";
export { installAgent } from "./install.ts";
export { createInstallationFinder, type Installation } from "./installation.ts";
export { sandboxIntent } from "./sandbox.ts";
export { createTurnSummary, type TurnSummary } from "./turn-summary.ts";

/** Every agent this server can drive. */
export const agents: readonly Agent[] = [codex];
