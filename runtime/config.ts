import { isAbsolute, join, resolve } from "node:path";
import { z } from "zod";
import { parseEngineSelection, parseVersionOverrides } from "../lib/agents/index.ts";
import { defaultCapacitySettings as capacity, parseLimits } from "../lib/capacity/index.ts";
import { parseQueueUrl } from "../lib/queue/index.ts";
import { parseStorageUrl } from "../lib/storage/index.ts";
import { parseAddress } from "./doors/addresses.ts";
import { parseHosts, parseOrigins } from "./doors/allow-lists.ts";
import { parseApiKeys } from "./doors/api-keys.ts";

const whole = (least: number, fallback: number, most = Number.MAX_SAFE_INTEGER) =>
  z.coerce.number().int().min(least).max(most).default(fallback);
/** Longer waits do not fit a Node timer, which counts milliseconds in 31 bits. */
const maxSeconds = 2_000_000;
const flag = z.enum(["0", "1"]).transform((value) => value === "1");
const bytes = (fallback: number) => whole(1, fallback);
const MiB = 1024 * 1024;
/** A text that one of our own readers takes apart, and says itself what is wrong with it. */
const read = <T>(reader: (text: string) => T) =>
  z.string().transform((text, context) => {
    try {
      return reader(text);
    } catch (error) {
      context.addIssue({ code: "custom", message: error instanceof Error ? error.message : String(error) });
      return z.NEVER;
    }
  });
const elseEngine = "Unset: its engine's estimate; this where there is none.";

/** Every environment variable the server reads, with its default and meaning. docs/configuration.md is made from it. */
export const environment = z.object({
  PORT: whole(0, 8000).describe("TCP port to listen on; 0 takes a free one."),
  HOST: z
    .string()
    .min(1)
    .default("127.0.0.1")
    .describe(
      "Address to listen on; 127.0.0.1, ::1 and localhost all mean 127.0.0.1 and ::1. In the container: 0.0.0.0.",
    ),
  SKILL_RUNNER_API_KEYS: read(parseApiKeys)
    .optional()
    .describe(
      "Who may use the API: name:scope:hash, several with commas; scopes read, run, admin. node scripts/api-key.mjs makes them. Unset: this machine alone may, with no key.",
    ),
  SKILL_RUNNER_PUBLISHED_AT: read(parseAddress)
    .optional()
    .describe(
      "Address at which the container's port is published on its host; set by the compose file. 127.0.0.1: who comes through it is on that machine, and needs no key where there is none.",
    ),
  SKILL_RUNNER_ALLOWED_HOSTS: read(parseHosts)
    .optional()
    .describe(
      "Names the server answers to, beside localhost, 127.0.0.1 and [::1]; several with commas, without a port. Unset: any where there are API keys, else no other.",
    ),
  SKILL_RUNNER_ALLOWED_ORIGINS: read(parseOrigins)
    .optional()
    .describe(
      "Origins whose pages may use the API from a browser, such as https://app.example; several with commas.",
    ),
  SKILL_RUNNER_RATE_LIMIT_PER_MINUTE: whole(0, 6_000).describe(
    "Most requests that one API key may send in a minute; one more gets 429. 0: no limit.",
  ),
  SKILL_RUNNER_REQUEST_TIMEOUT_SECONDS: whole(1, 300, maxSeconds).describe(
    "Longest a request may take to arrive whole, uploads included, in seconds.",
  ),
  LOG_LEVEL: z
    .enum(["trace", "debug", "info", "warn", "error", "silent"])
    .default("info")
    .describe("Least severity of the server's own log lines (JSON, on stdout)."),
  LANDLOCK_ENABLED: flag
    .optional()
    .describe(
      "1: agents run sandboxed; 0: they do not. Unset: sandboxed, but on a Linux kernel older than 5.13.",
    ),
  SKILL_RUNNER_SANDBOX: z
    .enum(["auto", "required", "off"])
    .default("auto")
    .describe(
      "The runner's own sandbox around every agent, by bubblewrap. auto: on where it works; required: no job runs without it; off: never.",
    ),
  NPM_CONFIG_PREFIX: z
    .string()
    .optional()
    .describe("npm prefix that holds the agent CLIs. Unset: cache/npm in the data directory."),
  SKILL_RUNNER_DATA_DIR: z
    .string()
    .default("data")
    .describe("Folder for everything the server keeps. In the container: /data."),
  SKILL_RUNNER_AGENT_CONFIG_DIR: z
    .string()
    .default("agent_config")
    .describe(
      "Folder that `scripts/agent_manager.sh --bootstrap` links the agents' settings and logins to. In the container: /opt/config.",
    ),
  SKILL_RUNNER_ACP_AGENTS: z
    .string()
    .optional()
    .describe(
      "JSON file that defines agents which speak the Agent Client Protocol. Unset: acp_agents.json in SKILL_RUNNER_AGENT_CONFIG_DIR, if it is there.",
    ),
  SKILL_RUNNER_BOOTSTRAP_ENGINES: read(parseEngineSelection)
    .prefault("all")
    .describe(
      'Engines that `scripts/agent_manager.sh --ensure` installs: "all" that can be had, "none", or a comma list.',
    ),
  SKILL_RUNNER_ENGINE_VERSIONS: read(parseVersionOverrides)
    .optional()
    .describe(
      "Versions to install instead of the known-good ones, such as codex=0.170.0,claude=latest. Needs a known engine each.",
    ),
  SKILL_RUNNER_ENGINE_INSTALL_TIMEOUT_SECONDS: whole(1, 1200, maxSeconds).describe(
    "Longest one install of an agent CLI may take, in seconds.",
  ),
  SKILL_RUNNER_SKILLS_DIR: z.string().default("skills").describe("Folder of the skill packages."),
  SKILL_RUNNER_STORAGE: read(parseStorageUrl)
    .prefault("fs:")
    .describe(
      'Where jobs are kept, as a URL: "fs:" (state/ in the data directory), "sqlite:", "redis://...", "postgres://...", "s3://bucket/folder"; "memory:" for tests. docs/storage.md has them all.',
    ),
  SKILL_RUNNER_QUEUE_URL: read(parseQueueUrl)
    .optional()
    .describe(
      'Redis that several servers share their work through, such as "redis://redis:6379"; SKILL_RUNNER_STORAGE must be shared, too. Unset: this server alone. docs/nodes.md.',
    ),
  SKILL_RUNNER_LEASE_SECONDS: whole(2, 30, 3_600).describe(
    "With SKILL_RUNNER_QUEUE_URL: seconds after which the jobs of a server that has fallen silent are given to others.",
  ),
  SKILL_RUNNER_ENGINE_HARD_TIMEOUT_SECONDS: whole(1, 1200, maxSeconds).describe(
    "Longest a run may be running when it does not say so itself, in seconds.",
  ),
  SKILL_RUNNER_STALL_TIMEOUT_SECONDS: whole(0, 600, maxSeconds).describe(
    "Longest an agent may print nothing at all before it is ended, in seconds; 0 does not look.",
  ),
  SKILL_RUNNER_MAX_REPAIR_TURNS: whole(0, 3).describe(
    "Turns that may follow the first to mend an answer that breaks its schema.",
  ),
  SKILL_RUNNER_MAX_RESTARTS: whole(0, 2).describe(
    "Times a job is taken up again that a crash of the server cut short; 0: never.",
  ),
  SKILL_RUNNER_SESSION_TIMEOUT_SEC: whole(0, 1200, maxSeconds).describe(
    "Seconds until an unanswered question is left to the agent, where a job asks for that and does not say when.",
  ),
  SKILL_RUNNER_AUTH_WAIT_SEC: whole(0, 900, maxSeconds).describe(
    "Seconds an interactive job waits for its agent to be logged in; 0: it fails at once.",
  ),
  SKILL_RUNNER_RETENTION_DAYS: whole(0, 7).describe("Days an ended job is kept; 0 keeps it for ever."),
  SKILL_RUNNER_CLEANUP_INTERVAL_HOURS: z.coerce
    .number()
    .positive()
    .max(24 * 20)
    .default(12)
    .describe("Hours between two looks for jobs past their retention."),
  SKILL_RUNNER_SHUTDOWN_GRACE_SECONDS: whole(0, 10, maxSeconds).describe(
    "Seconds runs may go on after SIGTERM before they are ended.",
  ),
  SKILL_RUNNER_MAX_BODY_BYTES: bytes(4 * MiB).describe("Largest JSON body, in bytes."),
  SKILL_RUNNER_MAX_UPLOAD_BYTES: bytes(256 * MiB).describe("Largest upload body, in bytes."),
  SKILL_RUNNER_UPLOAD_MAX_ENTRIES: whole(1, 2000).describe("Most files in an uploaded zip."),
  SKILL_RUNNER_UPLOAD_MAX_FILE_BYTES: bytes(256 * MiB).describe(
    "Largest single file of an uploaded zip, unpacked, in bytes.",
  ),
  SKILL_RUNNER_UPLOAD_MAX_TOTAL_BYTES: bytes(1024 * MiB).describe(
    "Most an uploaded zip may unpack to, in bytes.",
  ),
  SKILL_RUNNER_UPLOAD_MAX_RATIO: whole(2, 200).describe("Most unpacked bytes per packed byte."),
  TEMP_SKILL_PACKAGE_MAX_BYTES: bytes(20 * MiB).describe("Largest zip of a temporary skill, in bytes."),
  SKILL_RUNNER_INTERACTION_FILES_MAX_FILES: whole(1, 8, 8).describe("Most files in one reply."),
  SKILL_RUNNER_INTERACTION_FILES_MAX_FILE_BYTES: whole(1, 32 * MiB, 32 * MiB).describe(
    "Largest file of a reply, in bytes.",
  ),
  SKILL_RUNNER_INTERACTION_FILES_MAX_TOTAL_BYTES: whole(1, 64 * MiB, 64 * MiB).describe(
    "Most bytes all files of a reply may have.",
  ),
  PROCESS_TERMINATE_GRACE_SEC: z.coerce
    .number()
    .min(0)
    .max(300)
    .default(3)
    .describe("Seconds between TERM and KILL when a run is ended."),
  PROCESS_KILL_GRACE_SEC: z.coerce
    .number()
    .min(0)
    .max(300)
    .default(3)
    .describe("Seconds to wait for processes to be gone after KILL."),
  SKILL_RUNNER_MAX_CONCURRENT_HARD_CAP: whole(1, capacity.maxConcurrentHardCap).describe(
    "Most runs at once, whatever the machine.",
  ),
  SKILL_RUNNER_MAX_QUEUE_SIZE: whole(1, capacity.maxQueueSize).describe(
    "Most jobs that may wait for a slot; one more gets 429.",
  ),
  SKILL_RUNNER_ENGINE_LIMITS: read(parseLimits)
    .optional()
    .describe(
      "Most jobs of an engine that run at once, such as codex=2,gemini=4. Engines that are not named have no limit of their own.",
    ),
  SKILL_RUNNER_SKILL_LIMITS: read(parseLimits)
    .optional()
    .describe(
      "Most jobs of a skill that run at once, such as haiku=1. Skills that are not named have no limit of their own.",
    ),
  SKILL_RUNNER_CPU_FACTOR: z.coerce
    .number()
    .positive()
    .default(capacity.cpuFactor)
    .describe("Slots per core."),
  SKILL_RUNNER_MEM_RESERVE_MB: whole(0, capacity.memReserveMb).describe("Memory kept free, in MiB."),
  SKILL_RUNNER_ESTIMATED_MEM_PER_RUN_MB: whole(1, capacity.estimatedMemPerRunMb).describe(
    `Memory every run needs, in MiB. ${elseEngine}`,
  ),
  SKILL_RUNNER_FD_RESERVE: whole(0, capacity.fdReserve).describe("File descriptors kept free."),
  SKILL_RUNNER_ESTIMATED_FD_PER_RUN: whole(1, capacity.estimatedFdPerRun).describe(
    `File descriptors every run needs. ${elseEngine}`,
  ),
  SKILL_RUNNER_PID_RESERVE: whole(0, capacity.pidReserve).describe("Processes kept free."),
  SKILL_RUNNER_ESTIMATED_PID_PER_RUN: whole(1, capacity.estimatedPidPerRun).describe(
    `Processes and threads a run needs. ${elseEngine}`,
  ),
  SKILL_RUNNER_FALLBACK_MAX_CONCURRENT: whole(1, capacity.fallbackMaxConcurrent).describe(
    "Runs at once where the machine's limits cannot be read.",
  ),
});

export type Config = ReturnType<typeof readConfig>;

/**
 * Reads the server's settings. An empty variable counts as unset, as in compose files.
 * @param home folder that relative paths start from
 * @throws Error naming every variable that is wrong, and how
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>, home: string) {
  const given = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined && value !== ""),
  );
  const parsed = environment.safeParse(given);
  if (!parsed.success) {
    const lines = parsed.error.issues.map((issue) => `  ${issue.path.join(".")}: ${issue.message}`);
    throw new Error(`These environment variables cannot be used:\n${lines.join("\n")}`);
  }
  const values = parsed.data;
  const ifGiven = (name: keyof typeof values, value: number) => (name in given ? value : null);
  const dataDir = resolve(home, values.SKILL_RUNNER_DATA_DIR);
  const agentConfigDir = resolve(home, values.SKILL_RUNNER_AGENT_CONFIG_DIR);
  const prefix = values.NPM_CONFIG_PREFIX ?? join(dataDir, "cache", "npm");
  return {
    port: values.PORT,
    host: values.HOST,
    requestTimeoutMs: values.SKILL_RUNNER_REQUEST_TIMEOUT_SECONDS * 1000,
    doors: {
      keys: values.SKILL_RUNNER_API_KEYS ?? [],
      publishedAt: values.SKILL_RUNNER_PUBLISHED_AT ?? null,
      allowedHosts: values.SKILL_RUNNER_ALLOWED_HOSTS ?? null,
      allowedOrigins: values.SKILL_RUNNER_ALLOWED_ORIGINS ?? [],
      ratePerMinute: values.SKILL_RUNNER_RATE_LIMIT_PER_MINUTE,
    },
    logLevel: values.LOG_LEVEL,
    landlockEnabled: values.LANDLOCK_ENABLED ?? null,
    sandbox: values.SKILL_RUNNER_SANDBOX,
    projectDir: home,
    dataDir,
    skillsDir: resolve(home, values.SKILL_RUNNER_SKILLS_DIR),
    npmPrefix: isAbsolute(prefix) ? prefix : resolve(home, prefix),
    agentConfigDir,
    acpAgents: {
      file: resolve(home, values.SKILL_RUNNER_ACP_AGENTS ?? join(agentConfigDir, "acp_agents.json")),
      optional: values.SKILL_RUNNER_ACP_AGENTS === undefined,
    },
    bootstrapEngines: values.SKILL_RUNNER_BOOTSTRAP_ENGINES,
    engineVersions: values.SKILL_RUNNER_ENGINE_VERSIONS ?? new Map<string, string>(),
    engineInstallTimeoutSeconds: values.SKILL_RUNNER_ENGINE_INSTALL_TIMEOUT_SECONDS,
    storage: values.SKILL_RUNNER_STORAGE,
    queue: values.SKILL_RUNNER_QUEUE_URL ?? null,
    leaseMs: values.SKILL_RUNNER_LEASE_SECONDS * 1000,
    maxBodyBytes: values.SKILL_RUNNER_MAX_BODY_BYTES,
    maxUploadBytes: values.SKILL_RUNNER_MAX_UPLOAD_BYTES,
    tempSkillPackageBytes: values.TEMP_SKILL_PACKAGE_MAX_BYTES,
    cleanupIntervalHours: values.SKILL_RUNNER_CLEANUP_INTERVAL_HOURS,
    shutdownGraceSeconds: values.SKILL_RUNNER_SHUTDOWN_GRACE_SECONDS,
    replyFileLimits: {
      maxFiles: values.SKILL_RUNNER_INTERACTION_FILES_MAX_FILES,
      maxFileBytes: values.SKILL_RUNNER_INTERACTION_FILES_MAX_FILE_BYTES,
      maxTotalBytes: values.SKILL_RUNNER_INTERACTION_FILES_MAX_TOTAL_BYTES,
    },
    uploadLimits: {
      maxEntries: values.SKILL_RUNNER_UPLOAD_MAX_ENTRIES,
      maxEntryBytes: values.SKILL_RUNNER_UPLOAD_MAX_FILE_BYTES,
      maxTotalBytes: values.SKILL_RUNNER_UPLOAD_MAX_TOTAL_BYTES,
      maxRatio: values.SKILL_RUNNER_UPLOAD_MAX_RATIO,
    },
    runs: {
      hardTimeoutSeconds: values.SKILL_RUNNER_ENGINE_HARD_TIMEOUT_SECONDS,
      stallTimeoutSeconds: values.SKILL_RUNNER_STALL_TIMEOUT_SECONDS,
      maxRepairTurns: values.SKILL_RUNNER_MAX_REPAIR_TURNS,
      maxRestarts: values.SKILL_RUNNER_MAX_RESTARTS,
      replyTimeoutSeconds: values.SKILL_RUNNER_SESSION_TIMEOUT_SEC,
      authWaitSeconds: values.SKILL_RUNNER_AUTH_WAIT_SEC,
      retentionDays: values.SKILL_RUNNER_RETENTION_DAYS,
      killGraces: {
        termMs: values.PROCESS_TERMINATE_GRACE_SEC * 1000,
        killMs: values.PROCESS_KILL_GRACE_SEC * 1000,
      },
    },
    limits: {
      engines: values.SKILL_RUNNER_ENGINE_LIMITS ?? new Map<string, number>(),
      skills: values.SKILL_RUNNER_SKILL_LIMITS ?? new Map<string, number>(),
    },
    capacity: {
      maxConcurrentHardCap: values.SKILL_RUNNER_MAX_CONCURRENT_HARD_CAP,
      maxQueueSize: values.SKILL_RUNNER_MAX_QUEUE_SIZE,
      cpuFactor: values.SKILL_RUNNER_CPU_FACTOR,
      memReserveMb: values.SKILL_RUNNER_MEM_RESERVE_MB,
      estimatedMemPerRunMb: ifGiven(
        "SKILL_RUNNER_ESTIMATED_MEM_PER_RUN_MB",
        values.SKILL_RUNNER_ESTIMATED_MEM_PER_RUN_MB,
      ),
      fdReserve: values.SKILL_RUNNER_FD_RESERVE,
      estimatedFdPerRun: ifGiven(
        "SKILL_RUNNER_ESTIMATED_FD_PER_RUN",
        values.SKILL_RUNNER_ESTIMATED_FD_PER_RUN,
      ),
      pidReserve: values.SKILL_RUNNER_PID_RESERVE,
      estimatedPidPerRun: ifGiven(
        "SKILL_RUNNER_ESTIMATED_PID_PER_RUN",
        values.SKILL_RUNNER_ESTIMATED_PID_PER_RUN,
      ),
      fallbackMaxConcurrent: values.SKILL_RUNNER_FALLBACK_MAX_CONCURRENT,
    },
  };
}
