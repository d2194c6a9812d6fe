import type { TurnRequest } from "../agent.ts";
import { deniedTools } from "../denied-tools.ts";
import { layerSettings, type Settings, skillSettings } from "../json-settings.ts";

/** Variables that may hold a key for qwen itself. */
export const secretVariables = ["OPENAI_API_KEY", "DASHSCOPE_API_KEY", "BAILIAN_CODING_PLAN_API_KEY"];

/** What a skill may not set: programs to start, sign-in, servers, where model calls go, files elsewhere, calls home. */
const reserved = [
  "mcpServers",
  "mcp",
  "hooks",
  "disableAllHooks",
  "channels",
  "env",
  "security",
  "modelProviders",
  "proxy",
  "telemetry",
  "privacy",
  "advanced",
  "ide",
  "dualOutput",
  "ui.statusLine",
  "model.enableOpenAILogging",
  "model.openAILoggingDir",
  "model.generationConfig.customHeaders",
  "tools.sandbox",
  "tools.discoveryCommand",
  "tools.callCommand",
];

/** The layout of the settings below, so that qwen does not take them for an older one. */
const settingsVersion = 4;

/**
 * The settings of one turn, as the system's: above the user's and the workspace's own, which the agent could change.
 * @throws RunnerError SKILL_INVALID when the skill's settings cannot be used.
 */
export function qwenSettings(turn: TurnRequest): Settings {
  const skill = skillSettings("qwen", turn.skillConfig, reserved);
  return layerSettings(
    // Each of the seven tries of a call would be four, and a rate limit would be waited out ten times.
    { model: { generationConfig: { maxRetries: 0 } } },
    skill,
    enforced(skill),
  );
}

function enforced(skill: Settings): Settings {
  return {
    $version: settingsVersion,
    general: {
      enableAutoUpdate: false,
      checkpointing: { enabled: false },
      // Without it no session can be gone on with.
      chatRecording: true,
    },
    // No such file: instructions of the user and of the folders above the workspace are not the run's.
    context: { fileName: ".no-instructions" },
    // What it learns of a run is nobody else's, and finding it out costs a model call.
    memory: { enableManagedAutoMemory: false, enableManagedAutoDream: false, enableAutoSkill: false },
    disableAllHooks: true,
    // Without trust it asks before each tool. The workspace is the server's own.
    security: { folderTrust: { enabled: false } },
    permissions: { deny: deniedTools(skill, ["ask_user_question", "exit_plan_mode"]) },
    // Container sandboxes of the CLI are not for a server that runs in one; nor is a terminal for the tools.
    tools: { sandbox: false, approvalMode: "yolo", shell: { enableInteractiveShell: false } },
    ide: { enabled: false },
    privacy: { usageStatisticsEnabled: false },
    telemetry: { enabled: false },
  };
}
