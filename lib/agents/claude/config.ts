import { RunnerError } from "../../errors.ts";
import type { TurnRequest } from "../agent.ts";
import { deniedTools } from "../denied-tools.ts";
import { layerSettings, type Settings, skillSettings } from "../json-settings.ts";

/** Variables that hold a key or a token for claude itself. */
export const keyVariables = ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"];

/** What a skill may not set: programs to start, sign-in, servers, plug-ins, where model calls go, and who approves. */
const reserved = [
  "apiKeyHelper",
  "proxyAuthHelper",
  "awsCredentialExport",
  "awsAuthRefresh",
  "gcpAuthRefresh",
  "otelHeadersHelper",
  "forceLoginMethod",
  "forceLoginGatewayUrl",
  "forceLoginOrgUUID",
  "hooks",
  "statusLine",
  "subagentStatusLine",
  "fileSuggestion",
  "mcpServers",
  "allowedMcpServers",
  "enableAllProjectMcpServers",
  "enabledMcpjsonServers",
  "enabledPlugins",
  "extraKnownMarketplaces",
  "pluginConfigs",
  "sandbox",
  "permissions.defaultMode",
  "permissions.disableBypassPermissionsMode",
];

/** Variables a skill may set in its `env`, which stands above the environment: names of models and limits. */
const skillVariables =
  /^(ANTHROPIC_(MODEL|SMALL_FAST_MODEL|DEFAULT_[A-Z]+_MODEL)|CLAUDE_CODE_(DISABLE_1M_CONTEXT|MAX_OUTPUT_TOKENS|SUBAGENT_MODEL|EFFORT_LEVEL)|MAX_THINKING_TOKENS|BASH_(DEFAULT|MAX)_TIMEOUT_MS|BASH_MAX_OUTPUT_LENGTH)$/;

/** Tools with nobody at the other end, or that would take the agent out of its workspace or its run. */
const forbiddenTools = ["AskUserQuestion", "EnterWorktree", "ExitWorktree", "ScheduleWakeup", "CronCreate"];

/**
 * The settings of one turn, for `--settings`: above all files claude reads by itself but an administrator's.
 * @throws RunnerError SKILL_INVALID when the skill's settings cannot be used.
 */
export function claudeSettings(turn: TurnRequest): Settings {
  const skill = skillSettings("claude", turn.skillConfig, reserved);
  const variables = Object.keys(Object(skill.env)).filter((name) => !skillVariables.test(name));
  if (variables.length > 0) {
    const names = variables.map((name) => `env.${name}`).join(", ");
    throw new RunnerError("SKILL_INVALID", `The skill's claude config may not set ${names}.`);
  }
  return layerSettings(skill, {
    permissions: {
      defaultMode: "bypassPermissions",
      deny: deniedTools(skill, forbiddenTools),
      // Nobody is there to be asked: it would be a refusal.
      ask: [],
    },
  });
}

/** What claude is told by its environment. */
export function claudeEnvironment(turn: TurnRequest): Record<string, string> {
  return {
    ...withDefaults(turn, {
      // Ten, its default, take minutes; four end in about 10 s.
      CLAUDE_CODE_MAX_RETRIES: "4",
      // Orchestration of many agents, whose description alone is a third of every model call.
      CLAUDE_CODE_DISABLE_WORKFLOWS: "1",
    }),
    // It refuses to run unattended as root anywhere else.
    ...(turn.asRoot ? { IS_SANDBOX: "1" } : {}),
    // Instructions and memories of the user and of the folders above the workspace are not the run's.
    CLAUDE_CODE_DISABLE_CLAUDE_MDS: "1",
    CLAUDE_CODE_DISABLE_AUTO_MEMORY: "1",
    CLAUDE_CODE_DISABLE_BUNDLED_SKILLS: "1",
    ENABLE_CLAUDEAI_MCP_SERVERS: "false",
    // What is started in the background or for later would outlive the turn.
    CLAUDE_CODE_DISABLE_BACKGROUND_TASKS: "1",
    CLAUDE_CODE_DISABLE_CRON: "1",
    // The title of a session costs a model call.
    CLAUDE_CODE_DISABLE_TERMINAL_TITLE: "1",
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
    DISABLE_AUTOUPDATER: "1",
    DISABLE_TELEMETRY: "1",
    DISABLE_ERROR_REPORTING: "1",
    ...cloud(turn.provider),
  };
}

/** Providers claude reaches by a switch of its own; their credentials come with the run's environment. */
function cloud(provider: string | null): Record<string, string> {
  switch (provider) {
    case null:
    case "anthropic":
      return {};
    case "bedrock":
      return { CLAUDE_CODE_USE_BEDROCK: "1" };
    case "vertex":
      return { CLAUDE_CODE_USE_VERTEX: "1" };
    case "foundry":
      return { CLAUDE_CODE_USE_FOUNDRY: "1" };
    default:
      throw new RunnerError(
        "MODEL_INVALID",
        `claude has no provider "${provider}": it knows anthropic, bedrock, vertex and foundry.`,
      );
  }
}

function withDefaults(turn: TurnRequest, defaults: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(defaults).filter(([name]) => !(name in turn.environment)));
}
