import type { AgentEvent } from "./events.ts";

/** Where the agent may write and what it may reach, in words of intent; the adapter spells it for its version. */
export type SandboxIntent = "workspace-write" | "unrestricted";

/** One turn to be run by an agent CLI: everything the adapter may use to build its command. */
export interface TurnRequest {
  skillId: string;
  /** Absolute folder the agent works in; it is the child's working directory. */
  workspace: string;
  /** Absolute folder for files made for this turn that the agent need not see (schemas, per-run config). */
  turnDir: string;
  model: string | null;
  /** Who serves the model, where the CLI can be told. */
  provider: string | null;
  effort: string | null;
  /** Session to go on with, or null for a new one. */
  sessionId: string | null;
  /** Output schema in the strict form of structured output, or null when there is none or it cannot be expressed. */
  outputSchema: Record<string, unknown> | null;
  sandbox: SandboxIntent;
  /** The environment the agent will have, before what the adapter adds. */
  environment: Readonly<Record<string, string>>;
  /** The skill's own config for this agent, as text (format is the agent's), or null. */
  skillConfig: string | null;
}

/** What to spawn for a turn. The prompt is always written to stdin: argv is visible in `ps` and bounded by ARG_MAX. */
export interface AgentCommand {
  args: string[];
  env: Record<string, string>;
  /** Files to write before the spawn: absolute path -> content. */
  files: Record<string, string>;
}

export interface ModelInfo {
  id: string;
  display_name: string;
  deprecated: boolean;
  notes: string | null;
  supported_effort: string[];
}

/** The models a CLI version knew; the snapshot with the greatest version not above the installed one is shown. */
export interface ModelSnapshot {
  version: string;
  models: ModelInfo[];
}

/**
 * One agent CLI: data, and two pure functions. Spawning, limits, logs, timeouts and killing are written once, in
 * `lib/runs`, for all of them.
 */
export interface Agent {
  id: string;
  title: string;
  /** npm package and the version that is known to work with this adapter. */
  npmPackage: string;
  knownGoodVersion: string;
  /** Name of the executable the package provides. */
  binary: string;
  /** Folder in the workspace where the CLI discovers skills; the snapshot goes to `<skillsFolder>/<skill_id>`. */
  skillsFolder: string;
  /** The line that makes the CLI use a skill. */
  invokeLine(skillId: string): string;
  /** Names (in the CLI's config folder) whose presence means that somebody has logged in. */
  credentialFiles: string[];
  /** Config folder below HOME, and the variable that moves it. */
  configFolder: string;
  configVariable: string | null;
  /** Variables of the server's environment the CLI may see, beside the ones every agent gets. */
  environment: string[];
  /** Which of `environment` hold a key that stands in for a login. */
  keyVariables: string[];
  /** Arguments of a command that ends with 0 where the CLI's own sandbox works, costs no model call, and takes no time. */
  sandboxProbe: string[];
  capabilities: { resume: boolean; outputSchema: boolean; efforts: string[] };
  models: ModelSnapshot[];
  /** Name of the skill's own config file for this agent in its `assets/`, when `engine_configs` names none. */
  skillConfigFile: string;
  /** @throws RunnerError OPTION_INVALID when the skill's config cannot be used. */
  command(turn: TurnRequest): AgentCommand;
  /** Reads one line of stdout. Lines that mean nothing give no events; a line that is no JSON gives none either. */
  parse(line: string): AgentEvent[];
  /** Reads what the CLI left on stderr when its stream told no reason for the failure. */
  explainStderr(stderr: string): AgentEvent | null;
}
