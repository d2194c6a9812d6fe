import { parse, stringify } from "smol-toml";
import { RunnerError } from "../../errors.ts";
import type { TurnRequest } from "../agent.ts";

type Table = Record<string, unknown>;

/** What a skill or a user cannot change: who approves, where tools may write, and no calls home that nobody asked for. */
function enforced(turn: TurnRequest): Table {
  const { OPENAI_BASE_URL: baseUrl, UV_CACHE_DIR, UV_PROJECT_ENVIRONMENT } = turn.environment;
  return {
    approval_policy: "never",
    sandbox_mode: turn.sandbox === "workspace-write" ? "workspace-write" : "danger-full-access",
    sandbox_workspace_write: {
      network_access: true,
      // Every run has a temporary folder of its own (TMPDIR); /tmp is everybody's.
      exclude_slash_tmp: true,
      // Without its cache uv cannot run a skill's script.
      writable_roots: [UV_CACHE_DIR, UV_PROJECT_ENVIRONMENT].filter((folder) => folder !== undefined),
    },
    // Codex hands its whole environment to the tools it runs; its own keys are none of their business.
    shell_environment_policy: { exclude: keyVariables },
    // Codex reads no OPENAI_BASE_URL by itself.
    ...(baseUrl === undefined ? {} : { openai_base_url: baseUrl }),
    // Instructions and skills of the folders above the workspace are not the run's.
    project_root_markers: [],
    analytics: { enabled: false },
    check_for_update_on_startup: false,
    // An endpoint that cannot be reached is retried for ever otherwise.
    features: { plugins: false, unbounded_connection_retries: false },
    skills: { bundled: { enabled: false } },
  };
}

/** Variables that hold a key for codex itself. */
export const keyVariables = ["CODEX_API_KEY", "OPENAI_API_KEY"];

/**
 * The settings of one turn as `-c key=value` arguments, lowest layer first: the skill's own config, the run's options,
 * what the server enforces. Arguments, because codex's config.toml is one shared file and two runs must not race on it.
 * @throws RunnerError SKILL_INVALID when the skill's config is no TOML or sets what a skill may not.
 */
export function codexConfigArgs(turn: TurnRequest): string[] {
  const run: Table = {
    ...(turn.effort === null ? {} : { model_reasoning_effort: turn.effort }),
    ...(turn.provider === null ? {} : { model_provider: turn.provider }),
  };
  const settings = { ...flatten(skillTable(turn.skillConfig)), ...flatten(run), ...flatten(enforced(turn)) };
  return Object.entries(settings).flatMap(([key, value]) => ["-c", `${key}=${tomlValue(value)}`]);
}

/** Root keys that reach outside the run: servers to start, providers and endpoints that would receive the keys. */
const reserved = [
  "mcp_servers",
  "model_providers",
  "model_provider",
  "openai_base_url",
  "profiles",
  "projects",
  "notify",
  "shell_environment_policy",
  "sandbox_workspace_write",
];

function skillTable(config: string | null): Table {
  if (config === null) return {};
  let table: Table;
  try {
    table = parse(config);
  } catch (error) {
    const reason = error instanceof Error ? error.message.split("\n")[0] : "unknown reason";
    throw new RunnerError("SKILL_INVALID", `The skill's codex config is not valid TOML: ${reason}`);
  }
  const forbidden = reserved.filter((key) => key in table);
  if (forbidden.length > 0) {
    throw new RunnerError("SKILL_INVALID", `The skill's codex config may not set ${forbidden.join(", ")}.`);
  }
  return table;
}

function flatten(table: Table, prefix = ""): Table {
  const flat: Table = {};
  for (const [key, value] of Object.entries(table)) {
    const path = prefix + (/^[\w-]+$/.test(key) ? key : JSON.stringify(key));
    if (isTable(value)) Object.assign(flat, flatten(value, `${path}.`));
    else flat[path] = value;
  }
  return flat;
}

function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function tomlValue(value: unknown): string {
  return stringify({ v: value }).slice("v = ".length).trim();
}
