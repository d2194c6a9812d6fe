import type { Readable, Writable } from "node:stream";
import type { AgentEvent } from "./events.ts";

/** Where the agent may write and what it may reach, in words of intent; the adapter spells it for its version. */
export type SandboxIntent = "workspace-write" | "unrestricted";

/** What an installed CLI said of itself: an adapter spells its command for this version, not for the newest. */
export interface CliFacts {
  /** The number that `--version` printed; null when the CLI would not say. */
  version: string | null;
  /** Long options its help names, such as `--output-schema`; empty when the adapter asks for no help. */
  flags: ReadonlySet<string>;
}

/** Whether a CLI takes a long option, such as `--effort`: one whose help names none counts as the known good version. */
export function takes({ flags }: CliFacts, flag: string): boolean {
  return flags.size === 0 || flags.has(flag);
}

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
  cli: CliFacts;
  /** The server's user is root: some CLIs refuse to run unattended as root unless told that they are in a sandbox. */
  asRoot: boolean;
}

/** What to spawn for a turn. The prompt is always written to stdin: argv is visible in `ps` and bounded by ARG_MAX. */
export interface AgentCommand {
  args: string[];
  env: Record<string, string>;
  /** Files to write before the spawn: absolute path -> content. Their folders are made. */
  files: Record<string, string>;
}

/** Reads the stdout of one turn; made anew for each, so it may remember what it has read. */
export interface StreamReader {
  /** One line without its end. Lines that mean nothing give no events; what is no JSON never throws. */
  line(text: string): AgentEvent[];
  /** stdout has ended: what a CLI says only by ending. */
  end?(): AgentEvent[];
}

/** A turn that is spoken over stdin and stdout, for CLIs that answer instead of streaming (ACP). */
export interface Conversation {
  prompt: string;
  /** The CLI's stdin and stdout. */
  input: Writable;
  output: Readable;
  emit(event: AgentEvent): void;
  /** Aborts when the turn is to end; the process is ended by the runner. */
  signal: AbortSignal;
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

/** Where a CLI keeps its settings and credentials. */
export interface AgentHome {
  /** Folder below the mounted config root: `/opt/config/<config>`. */
  config: string;
  /** The same folder as the CLI looks for it, below HOME. */
  home: string;
}

/** What one run of this CLI needs at its peak, as seen on real runs with a simple tool and a quarter on top. */
export interface RunEstimate {
  /** Memory that its processes share counts once. */
  memoryMiB: number;
  /** Processes and threads: a pids limit counts both. */
  processes: number;
  descriptors: number;
}

/** What a person needs to log in from another device: a page to open, and the one-time code to enter there. */
export interface DeviceChallenge {
  auth_url: string;
  user_code: string;
}

/** How a person logs a CLI in. */
export interface AgentLogin {
  /** What follows the executable's name in a terminal (nothing: it asks by itself), and what to do then, in sentences. */
  terminal: { args: string[]; steps: string };
  /** How the CLI logs in with a device code (RFC 8628) without a terminal; absent when it cannot. */
  deviceCode?: {
    args: string[];
    /** What else a person must know, in sentences. */
    note?: string;
    /** Reads all it has printed so far, without terminal colours; null until the whole challenge is there. */
    read(stdout: string): DeviceChallenge | null;
  };
  /** Which variable takes the key of a model provider, for a CLI of many; null when none is known. */
  keyVariable?(provider: string): string | null;
}

/**
 * One agent CLI: data, and a few functions without side effects. Spawning, limits, logs, timeouts and killing are
 * written once, in `lib/runs`, for all of them.
 */
export interface Agent {
  id: string;
  title: string;
  /** npm package and the version that is known to work with this adapter; null when the CLI comes from elsewhere. */
  npmPackage: string | null;
  knownGoodVersion: string | null;
  /** Why the package cannot be had, for a CLI whose vendor dropped it; null otherwise. */
  unavailable: string | null;
  /** Name of the executable the package provides. */
  binary: string;
  /** Folder in the workspace where the CLI discovers skills; the snapshot goes to `<skillsFolder>/<skill_id>`. */
  skillsFolder: string;
  /** The line that makes the CLI use a skill. */
  invokeLine(skillId: string): string;
  /** Files (below HOME) that a login leaves. */
  credentialFiles: string[];
  /** Whether one of them is enough to count as logged in, or it takes all. */
  credentialRule: "all" | "any";
  /**
   * Those of them that say more than who is logged in (such as commands to run), or that the CLI replaces instead of writing to
   * them: in the runner's sandbox, each run has a copy of its own. When a turn has ended, what this makes of the shared text
   * and of the run's takes the shared one's place; null: nothing does. Absent: runs write to the shared files themselves.
   */
  ownCopies?: Readonly<Record<string, (shared: string, own: string) => string | null>>;
  /** What must stand in one of them to make it a login, for a file that is there without one too. */
  credentialMarks?: Readonly<Record<string, RegExp>>;
  /** Absent when nothing is known of it, as for an agent that is only configured. */
  login?: AgentLogin;
  /** Folders the container links to the mounted config root; the first one holds the CLI's settings. */
  homes: AgentHome[];
  /**
   * Files and folders below HOME that a run in the runner's sandbox reads, beside the credential files: what the operator has
   * set. Everything else in the homes (sessions, histories, databases) each run has to itself there.
   */
  settings: string[];
  /** The variable that moves `homes[0].home`, or null. */
  configVariable: string | null;
  /** Files (below the config root) the container writes when they are missing. */
  bootstrapFiles: Record<string, string>;
  /** Variables of the server's environment the CLI may see, beside the ones every agent gets. */
  environment: string[];
  /** Which of `environment` hold a key that stands in for a login. */
  keyVariables: string[];
  /** Arguments that print the help whose options become `CliFacts.flags`; null when the adapter needs none. */
  helpArgs: string[] | null;
  /**
   * Arguments of commands one of which ends with 0 where the CLI's own sandbox works, tried in order (versions differ in
   * how they spell it), without a model call; none for a CLI without a sandbox (or without one we use): its tools run
   * unconfined, and the container is the boundary.
   */
  sandboxProbes: string[][];
  capabilities: { resume: boolean; outputSchema: boolean; efforts: string[] };
  estimate: RunEstimate;
  models: ModelSnapshot[];
  /** Asks the CLI itself for its models, where it can list them without a model call. */
  modelProbe: { args: string[]; read(stdout: string): ModelInfo[] } | null;
  /** Name of the skill's own config file for this agent in its `assets/`, when `engine_configs` names none. */
  skillConfigFile: string;
  /** @throws RunnerError SKILL_INVALID when the skill's config cannot be used. */
  command(turn: TurnRequest): AgentCommand;
  read(turn: TurnRequest): StreamReader;
  /** Speaks the turn instead of `read`; resolves when the turn is over. Rejects when the CLI breaks the protocol. */
  converse?(turn: TurnRequest, conversation: Conversation): Promise<void>;
  /** Its stream does not tell of its tools: it may be at work from its start on. */
  toolsUnheard?: true;
  /** Its stream does not tell errors: stderr is asked even when a turn seems complete. */
  stderrRules?: true;
  /** Reads what the CLI left on stderr when its stream told no reason for the failure. */
  explainStderr(stderr: string): AgentEvent | null;
}
