import type { Agent } from "../agent.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** What is asked of an agent here. */
export type JailedAgent = Pick<
  Agent,
  "homes" | "credentialFiles" | "ownCopies" | "settings" | "environment" | "configVariable"
>;

/** What the server has that its agents must not see, and where their programs lie. */
export interface JailHost {
  /** The server's own environment: what a job adds to its agent's must not decide what is mounted. */
  environment: Environment;
  agents: readonly JailedAgent[];
  npmPrefix: string;
  /** Folders of the server: its data first, then its project with `.env`, the mounted config root and the like. */
  serverFolders: readonly string[];
  /** Files of the server that may hold keys, wherever they lie. */
  serverFiles: readonly string[];
}

/** The folders of one run, all absolute. They are made where they are missing. */
export interface JailedRun {
  workspace: string;
  temporary: string;
  /** Stands in for HOME, and keeps what CLIs keep there of this run. */
  home: string;
  /** Files of this turn, which the agent only reads; null for none. */
  turnDir: string | null;
}
