import type { TurnRequest } from "../agent.ts";
import { layerSettings, type Settings, skillSettings } from "../json-settings.ts";

/** What a skill may not set: programs to start, sign-in and where model calls go, and calls home. */
const reserved = [
  "mcpServers",
  "mcpServerCommand",
  "toolDiscoveryCommand",
  "toolCallCommand",
  "hooks",
  "selectedAuthType",
  "apiKey",
  "baseUrl",
  "searchApiKey",
  "bugCommand",
  "telemetry",
];

/**
 * The run's `.iflow/settings.json` in the workspace, which stands above the user's own settings. Key names are those of
 * iflow's settings reference (https://platform.iflow.cn/en/cli/configuration/settings).
 * @throws RunnerError SKILL_INVALID when the skill's settings cannot be used.
 */
export function iflowSettings(turn: TurnRequest): Settings {
  return layerSettings(
    skillSettings("iflow", turn.skillConfig, reserved),
    turn.model === null ? {} : { modelName: turn.model },
    enforced(turn),
  );
}

function enforced({ environment }: TurnRequest): Settings {
  const { IFLOW_API_KEY, IFLOW_BASE_URL } = environment;
  const endpointGiven = Boolean(IFLOW_API_KEY) && Boolean(IFLOW_BASE_URL);
  return {
    // Else the user's own sign-in stays. The vendor's, "iflow", is refused by the CLI itself since April 2026.
    ...(endpointGiven ? { selectedAuthType: "openai-compatible" } : {}),
    approvalMode: "yolo",
    autoAccept: true,
    sandbox: false,
    checkpointing: { enabled: false },
    // A restart with more heap would always end with exit code 0.
    autoConfigureMaxOldSpaceSize: false,
    disableAutoUpdate: true,
    disableTelemetry: true,
    telemetry: { enabled: false },
    hideBanner: true,
    hideTips: true,
  };
}
