import type { Engines, Jail, SandboxIntent } from "../agents/index.ts";
import type { Estimates, Gate } from "../capacity/index.ts";
import type { SkillRegistry, SkillValidators } from "../skills/index.ts";
import type { EventFeeds } from "./event-feed.ts";
import type { Idempotency } from "./idempotency.ts";
import type { KeyedLock } from "./keyed-lock.ts";
import type { KillGraces } from "./process-tree.ts";
import type { ResultCache } from "./result-cache.ts";
import type { RunFolders } from "./run-folders.ts";
import type { RunSecrets } from "./run-secrets.ts";
import type { RunStore } from "./run-store.ts";
import type { UsageSampler } from "./usage-sampler.ts";

/** What the log is told. The runtime hands in its logger; lib knows no logging library. */
export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface RunSettings {
  /** Seconds a run may be running when it does not say so itself. */
  hardTimeoutSeconds: number;
  /** Seconds an agent may print nothing before it is ended; 0 lets it be silent for as long as it likes. */
  stallTimeoutSeconds: number;
  /** Turns that may follow the first one of an attempt, to mend an answer that breaks its schema. */
  maxRepairTurns: number;
  /** Times a run is taken up again that a crash cut short; 0: never, not even after a stop in good order. */
  maxRestarts: number;
  /** Seconds until a question is left to the agent, for runs that ask for that and do not say when. */
  replyTimeoutSeconds: number;
  /** Seconds an interactive run waits for its agent to be logged in when it does not say so itself. */
  authWaitSeconds: number;
  /** Days a finished job is kept; 0 keeps it for ever. */
  retentionDays: number;
  killGraces: KillGraces;
}

/** The parts that the life of a run is made of. Built once, in `runtime/services.ts`. */
export interface RunContext {
  dataDir: string;
  /** This server's name among several that share their work; null where there is one. */
  node: string | null;
  npmPrefix: string;
  /** The server's own environment, from which agents get an allow list. */
  serverEnvironment: Readonly<Record<string, string | undefined>>;
  settings: RunSettings;
  sandbox: SandboxIntent;
  /** The sandbox around every agent. */
  jail: Jail;
  /** The server's user, and so each agent's, is root. */
  asRoot: boolean;
  store: RunStore;
  cache: ResultCache;
  feeds: EventFeeds;
  folders: RunFolders;
  secrets: RunSecrets;
  idempotency: Idempotency;
  skills: SkillRegistry;
  validators: SkillValidators;
  engines: Engines;
  gate: Gate;
  /** What runs need, which is corrected by what they took. */
  estimates: Estimates;
  sampler: UsageSampler;
  /** Serialises what callers do to one job (upload, cancel, delete). */
  locked: KeyedLock;
  /** A new ULID, greater than every one before. */
  newId(): string;
  /** False once the server is shutting down. */
  accepting(): boolean;
  log: Log;
}
