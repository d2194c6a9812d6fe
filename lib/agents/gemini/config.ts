import type { TurnRequest } from "../agent.ts";
import { layerSettings, type Settings, skillSettings } from "../json-settings.ts";

/** Variables that hold a key for gemini itself. */
export const keyVariables = ["GEMINI_API_KEY", "GOOGLE_API_KEY"];

/**
 * An effort for the 2.5 models, which know a number of thinking tokens instead of a level: what Google makes of it at its
 * OpenAI-compatible endpoint.
 */
const thinkingBudgets: Readonly<Record<string, number>> = { low: 1024, medium: 8192, high: 24_576 };
export const efforts = Object.keys(thinkingBudgets);

/** Skills that come with the CLI and have nothing to do with a run. */
const bundledSkills = ["skill-creator", "antigravity-support"];

/** What a skill may not set: programs to start, sign-in, policies, where model calls go, and calls home. */
const reserved = [
  "mcpServers",
  "mcp",
  "hooks",
  "hooksConfig",
  "security",
  "admin",
  "policyPaths",
  "adminPolicyPaths",
  // Its `httpOptions` name an endpoint.
  "modelConfigs",
  "tools.discoveryCommand",
  "tools.callCommand",
  "tools.sandbox",
  "telemetry",
  "privacy",
  "advanced",
  "ide",
];

/**
 * The run's `.gemini/settings.json` in the workspace, which stands above the user's own settings and below what an
 * administrator put into /etc/gemini-cli. The file of GEMINI_CLI_SYSTEM_SETTINGS_PATH would stand above it, but gemini
 * takes that only when it and every folder above it belong to root and are writable by nobody else.
 * @throws RunnerError SKILL_INVALID when the skill's settings cannot be used.
 */
export function geminiSettings(turn: TurnRequest): Settings {
  return layerSettings(
    {
      // Saves a tool call per step that only tells a reader what is being done.
      general: { topicUpdateNarration: false },
      skills: { disabled: bundledSkills.filter((skill) => skill !== turn.skillId) },
    },
    skillSettings("gemini", turn.skillConfig, reserved),
    runOptions(turn),
    enforced(turn),
  );
}

function runOptions({ effort, model }: TurnRequest): Settings {
  if (effort === null) return {};
  const thinkingConfig = model?.includes("2.5")
    ? { thinkingBudget: thinkingBudgets[effort] }
    : { thinkingLevel: effort.toUpperCase() };
  const modelConfig = { generateContentConfig: { thinkingConfig } };
  // "core" is the conversation itself; sub-agents keep their own.
  return { modelConfigs: { overrides: [{ match: { overrideScope: "core" }, modelConfig }] } };
}

function enforced(turn: TurnRequest): Settings {
  const selectedType = authType(turn.environment);
  return {
    general: {
      enableAutoUpdate: false,
      enableAutoUpdateNotification: false,
      // Ten attempts take five minutes; three end in about 15 s.
      maxAttempts: 3,
      // A plan waits for somebody to approve it.
      plan: { enabled: false },
      checkpointing: { enabled: false },
      // A session ends with its run, not with gemini's clean-up, which also fights for a lock at every start.
      sessionRetention: { enabled: false },
    },
    // Without an entry the user's own choice stays.
    ...(selectedType === null ? {} : { security: { auth: { selectedType } } }),
    // Container sandboxes of the CLI are not for a server that runs in one.
    tools: { sandbox: false },
    skills: { enabled: true },
    // GEMINI.md and .env of the folders above the workspace are not the run's.
    context: { memoryBoundaryMarkers: [] },
    advanced: { ignoreLocalEnv: true },
    ide: { enabled: false },
    telemetry: { enabled: false },
    privacy: { usageStatisticsEnabled: false },
  };
}

/** How the environment signs in, in gemini's words; null when it does not. */
function authType(environment: TurnRequest["environment"]): string | null {
  const { GEMINI_API_KEY, GOOGLE_API_KEY, GOOGLE_GENAI_USE_VERTEXAI } = environment;
  if (GOOGLE_GENAI_USE_VERTEXAI === "true") return "vertex-ai";
  if (isSet(GEMINI_API_KEY)) return "gemini-api-key";
  return isSet(GOOGLE_API_KEY) ? "vertex-ai" : null;
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== "";
}
