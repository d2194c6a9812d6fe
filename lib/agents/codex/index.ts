import { join } from "node:path";
import type { Agent } from "../agent.ts";
import { codexConfigArgs, keyVariables } from "./config.ts";
import { readCodexChallenge } from "./login.ts";
import { codexModels } from "./models.ts";
import { explainCodexStderr, parseCodexLine } from "./stream.ts";

/** OpenAI codex, driven by `codex exec --json` (https://developers.openai.com/codex/noninteractive). */
export const codex: Agent = {
  id: "codex",
  title: "OpenAI Codex CLI",
  npmPackage: "@openai/codex",
  knownGoodVersion: "0.169.0",
  unavailable: null,
  binary: "codex",
  skillsFolder: ".agents/skills",
  invokeLine: (skillId) => `$${skillId}`,
  credentialFiles: [".codex/auth.json"],
  credentialRule: "all",
  login: {
    // Its login by a browser wants to be called back on a port of its own, which no container shows.
    terminal: {
      args: ["login", "--device-auth"],
      steps: "It shows a page to open on any device, and a one-time code to enter there.",
    },
    deviceCode: {
      args: ["login", "--device-auth"],
      note: "The account must allow logins by device code (ChatGPT: Settings, Security).",
      read: readCodexChallenge,
    },
  },
  homes: [{ config: "codex", home: ".codex" }],
  settings: [".codex/config.toml", ".codex/AGENTS.md", ".codex/rules", ".codex/skills"],
  configVariable: "CODEX_HOME",
  // Credentials in a file: a container has no keyring, and the mounted folder is what survives it.
  bootstrapFiles: { "codex/config.toml": 'cli_auth_credentials_store = "file"\n' },
  environment: [
    "CODEX_HOME",
    "CODEX_API_KEY",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "OPENAI_ORGANIZATION",
    "OPENAI_PROJECT",
  ],
  keyVariables,
  helpArgs: ["exec", "--help"],
  sandboxProbes: [
    ["sandbox", "-c", 'sandbox_mode="workspace-write"', "--", "true"],
    // Versions that have a subcommand per system.
    ["sandbox", process.platform === "darwin" ? "macos" : "linux", "--full-auto", "--", "true"],
  ],
  capabilities: {
    resume: true,
    outputSchema: true,
    efforts: ["minimal", "low", "medium", "high", "xhigh", "max", "ultra"],
  },
  estimate: { memoryMiB: 224, processes: 56, descriptors: 104 },
  models: codexModels,
  modelProbe: null,
  skillConfigFile: "codex_config.toml",
  command(turn) {
    const { OPENAI_API_KEY, CODEX_API_KEY } = turn.environment;
    const schemaFile = join(turn.turnDir, "output.schema.json");
    // The sandbox is among the settings (`sandbox_mode`): every version takes those, while `--full-auto` is gone and
    // `resume` has had more or fewer options of its own. So all options stand before it, where `exec` takes them.
    const args = ["exec", "--skip-git-repo-check", "--json", ...codexConfigArgs(turn)];
    if (turn.model !== null) args.push("-m", turn.model);
    if (turn.outputSchema !== null) args.push("--output-schema", schemaFile);
    if (turn.sessionId !== null) args.push("resume", turn.sessionId);
    return {
      args: [...args, "-"],
      // The built-in provider takes a key from CODEX_API_KEY only; OPENAI_API_KEY is what people have.
      env:
        OPENAI_API_KEY === undefined || CODEX_API_KEY !== undefined ? {} : { CODEX_API_KEY: OPENAI_API_KEY },
      files: turn.outputSchema === null ? {} : { [schemaFile]: JSON.stringify(turn.outputSchema) },
    };
  },
  read: () => ({ line: parseCodexLine }),
  explainStderr: explainCodexStderr,
};
