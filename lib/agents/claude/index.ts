import { join } from "node:path";
import { type Agent, type TurnRequest, takes } from "../agent.ts";
import { claudeEnvironment, claudeSettings, keyVariables } from "./config.ts";
import { claudeModels } from "./models.ts";
import { explainClaudeStderr, readClaude } from "./stream.ts";

const skillsFolder = ".claude/skills";
/** Linux takes at most 128 KiB in one argument, and there is no file to name instead. */
const maxSchemaBytes = 100_000;

/** Anthropic's Claude Code, driven by `claude -p` (https://code.claude.com/docs/en/headless). */
export const claude: Agent = {
  id: "claude",
  title: "Claude Code CLI",
  npmPackage: "@anthropic-ai/claude-code",
  knownGoodVersion: "2.1.197",
  unavailable: null,
  binary: "claude",
  skillsFolder,
  invokeLine: (skillId) => `/${skillId}`,
  credentialFiles: [".claude/.credentials.json"],
  credentialRule: "all",
  login: { terminal: { args: [], steps: "Type /login in it, and follow the link that it shows." } },
  homes: [{ config: "claude", home: ".claude" }],
  settings: [
    ".claude/settings.json",
    ".claude/CLAUDE.md",
    ".claude/agents",
    ".claude/commands",
    ".claude/plugins",
    ".claude/skills",
  ],
  configVariable: "CLAUDE_CONFIG_DIR",
  bootstrapFiles: {},
  environment: [
    ...keyVariables,
    "CLAUDE_CONFIG_DIR",
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_CUSTOM_HEADERS",
    "ANTHROPIC_MODEL",
    "ANTHROPIC_SMALL_FAST_MODEL",
    "ANTHROPIC_DEFAULT_FABLE_MODEL",
    "ANTHROPIC_DEFAULT_OPUS_MODEL",
    "ANTHROPIC_DEFAULT_SONNET_MODEL",
    "ANTHROPIC_DEFAULT_HAIKU_MODEL",
  ],
  keyVariables,
  helpArgs: ["--help"],
  // Its sandbox needs bwrap and socat, and no command tries it without a model call.
  sandboxProbes: [],
  capabilities: { resume: true, outputSchema: true, efforts: ["low", "medium", "high", "xhigh", "max"] },
  estimate: { memoryMiB: 400, processes: 16, descriptors: 72 },
  models: claudeModels,
  modelProbe: null,
  skillConfigFile: "claude_settings.json",
  command(turn) {
    const settings = join(turn.turnDir, "claude.settings.json");
    const shellSetup = join(turn.turnDir, "claude.shell.sh");
    const args = ["-p", "--output-format", "stream-json", "--verbose", "--dangerously-skip-permissions"];
    args.push("--settings", settings, ...sources(turn));
    if (takes(turn.cli, "--strict-mcp-config")) args.push("--strict-mcp-config");
    if (turn.model !== null) args.push("--model", turn.model);
    if (turn.effort !== null && takes(turn.cli, "--effort")) args.push("--effort", turn.effort);
    const schema = turn.outputSchema === null ? "" : JSON.stringify(turn.outputSchema);
    if (schema !== "" && Buffer.byteLength(schema) <= maxSchemaBytes && takes(turn.cli, "--json-schema")) {
      args.push("--json-schema", schema);
    }
    if (turn.sessionId !== null) args.push("--resume", turn.sessionId);
    return {
      args,
      env: {
        ...claudeEnvironment(turn),
        // Claude hands its whole environment to the tools it runs; its own keys are none of their business.
        ...("CLAUDE_ENV_FILE" in turn.environment ? {} : { CLAUDE_ENV_FILE: shellSetup }),
      },
      files: {
        [settings]: `${JSON.stringify(claudeSettings(turn), null, 2)}\n`,
        [shellSetup]: `unset ${keyVariables.join(" ")}\n`,
      },
    };
  },
  read: readClaude,
  explainStderr: explainClaudeStderr,
};

/**
 * Where settings, skills and sub-agents come from. As a project, claude would take the skills of the folders above the
 * workspace too; with its `.claude` folder as a plug-in and no sources, there is this run's skill and nothing else.
 */
function sources({ workspace, cli }: TurnRequest): string[] {
  if (!takes(cli, "--setting-sources")) return [];
  if (!takes(cli, "--plugin-dir")) return ["--setting-sources=project"];
  return ["--setting-sources=", "--plugin-dir", join(workspace, skillsFolder, "..")];
}
