import { join } from "node:path";
import { RunnerError } from "../../errors.ts";
import type { TurnRequest } from "../agent.ts";
import { layerSettings, skillSettings } from "../json-settings.ts";

/** Where the skill lies in the workspace, and the only place skills are looked for besides the user's own. */
export const skillsFolder = ".opencode/skills";

/** Keys that reach outside the run: servers and commands to start, endpoints that would receive the keys, downloads. */
const reserved = [
  "autoshare",
  "autoupdate",
  "enterprise",
  "experimental",
  "formatter",
  "lsp",
  "mcp",
  "plugin",
  "provider",
  "server",
  "share",
  "skills",
  "snapshot",
];

/**
 * The settings of one turn as the value of `OPENCODE_CONFIG_CONTENT`. opencode 1.18 merges, later wins: the user's
 * `~/.config/opencode/opencode.json`, the file `OPENCODE_CONFIG` names, the project's files (which are turned off), then
 * this. So the user's providers stay usable, and two runs share no file.
 * @param plugin absolute path of the plugin to load
 * @throws RunnerError SKILL_INVALID when the skill's config is no JSON object or sets what a skill may not.
 */
export function opencodeConfig(turn: TurnRequest, plugin: string): string {
  // opencode fills these in from its environment and from any file: keys and logins are there.
  if (/\{(env|file):/.test(turn.skillConfig ?? "")) {
    throw new RunnerError(
      "SKILL_INVALID",
      "The skill's opencode config may not use {env:...} or {file:...}.",
    );
  }
  // Of two rules that match, opencode takes the later one: what the skill denies stays denied.
  const allowed = { permission: { "*": "allow" } };
  const enforced = {
    autoupdate: false,
    share: "disabled",
    // Its undo history: a copy of the workspace in the user's data folder, for nobody.
    snapshot: false,
    // Language servers are downloaded and started for every kind of file the agent edits.
    lsp: false,
    // The one skill opencode brings itself is about changing its own settings.
    permission: { question: "deny", skill: { "customize-opencode": "deny" } },
    skills: { paths: [join(turn.workspace, skillsFolder)] },
    plugin: [plugin],
  };
  return JSON.stringify(
    layerSettings(allowed, skillSettings("opencode", turn.skillConfig, reserved), enforced),
  );
}
