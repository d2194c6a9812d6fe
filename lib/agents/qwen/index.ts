import { join } from "node:path";
import { type Agent, type TurnRequest, takes } from "../agent.ts";
import { readObject, withRenewedTokens } from "../renewed-tokens.ts";
import { qwenSettings, secretVariables } from "./config.ts";
import { qwenModels } from "./models.ts";
import { explainQwenStderr, readQwen } from "./stream.ts";

const skillsFolder = ".qwen/skills";

/** What stands in the workspace's `.qwen` folder in place of files qwen would look for elsewhere. */
const workspaceFiles = {
  // The first .env file found counts, and it is looked for in every folder above the workspace: their keys are not the run's.
  ".env": "# The variables of a run come with its environment.\n",
  // Qwen writes one of its own into the user's folder, which demands the language of the machine.
  "output-language.md": "Answer in the language the task asks for.\n",
};

/** Alibaba's Qwen Code, driven by `qwen -o stream-json` (https://qwenlm.github.io/qwen-code-docs/en/users/features/headless). */
export const qwen: Agent = {
  id: "qwen",
  title: "Qwen Code CLI",
  npmPackage: "@qwen-code/qwen-code",
  knownGoodVersion: "0.15.10",
  unavailable: null,
  binary: "qwen",
  skillsFolder,
  // The command puts the skill's text before the prompt, but not where its files are.
  invokeLine: (skillId) => `/${skillId} (the files of this skill are in ${skillsFolder}/${skillId})`,
  // An API key that was set up in the CLI stands in its settings.
  credentialFiles: [".qwen/oauth_creds.json", ".qwen/settings.json"],
  credentialRule: "any",
  ownCopies: {
    // It names hooks and servers to start.
    ".qwen/settings.json": () => null,
    ".qwen/oauth_creds.json": renewedLogin,
  },
  login: { terminal: { args: [], steps: "Type /auth in it, and follow the link that it shows." } },
  // Qwen writes its settings on any start.
  credentialMarks: { ".qwen/settings.json": /"(?:apiKey|\w+_API_KEY)"\s*:\s*"[^"]/ },
  homes: [{ config: "qwen", home: ".qwen" }],
  settings: [".qwen/.env", ".qwen/QWEN.md", ".qwen/agents", ".qwen/commands", ".qwen/skills"],
  configVariable: "QWEN_HOME",
  bootstrapFiles: {},
  environment: [...secretVariables, "QWEN_HOME", "OPENAI_BASE_URL", "OPENAI_MODEL", "QWEN_MODEL"],
  // The others count only where the user's settings name them.
  keyVariables: ["OPENAI_API_KEY"],
  helpArgs: ["--help"],
  // Its sandboxes are containers and macOS profiles; neither is used here.
  sandboxProbes: [],
  capabilities: { resume: true, outputSchema: true, efforts: [] },
  estimate: { memoryMiB: 480, processes: 24, descriptors: 72 },
  models: qwenModels,
  modelProbe: null,
  skillConfigFile: "qwen_config.json",
  command(turn) {
    const settings = join(turn.turnDir, "qwen.settings.json");
    const shellSetup = join(turn.turnDir, "qwen.shell.sh");
    const schema = join(turn.turnDir, "output.schema.json");
    const withSchema = turn.outputSchema !== null && takes(turn.cli, "--json-schema");
    const authType = turn.provider ?? (turn.environment.OPENAI_API_KEY ? "openai" : null);
    const args = [
      "-o",
      "stream-json",
      ...(takes(turn.cli, "--approval-mode") ? ["--approval-mode", "yolo"] : ["--yolo"]),
    ];
    // Servers and extensions of the user are not the run's.
    if (takes(turn.cli, "--allowed-mcp-server-names")) args.push("--allowed-mcp-server-names", "");
    if (takes(turn.cli, "--extensions")) args.push("--extensions", "none");
    if (authType !== null && takes(turn.cli, "--auth-type")) args.push("--auth-type", authType);
    if (turn.model !== null) args.push("--model", turn.model);
    if (withSchema) args.push("--json-schema", `@${schema}`);
    if (turn.sessionId !== null) args.push("--resume", turn.sessionId);
    return {
      args,
      env: {
        QWEN_CODE_SYSTEM_SETTINGS_PATH: settings,
        // One process instead of two: the first would only start the second with more heap.
        QWEN_CODE_NO_RELAUNCH: "true",
        // Qwen hands its whole environment to the tools it runs; bash reads this first.
        ...("BASH_ENV" in turn.environment ? {} : { BASH_ENV: shellSetup }),
      },
      files: {
        [settings]: `${JSON.stringify(qwenSettings(turn), null, 2)}\n`,
        [shellSetup]: `unset ${secretVariables.join(" ")}\n`,
        ...(withSchema ? { [schema]: JSON.stringify(turn.outputSchema) } : {}),
        ...inWorkspace(turn),
      },
    };
  },
  read: readQwen,
  explainStderr: explainQwenStderr,
};

/** Its tokens, which a run may have renewed; never `resource_url`, to which prompts are sent. */
function renewedLogin(shared: string, own: string): string | null {
  const login = withRenewedTokens(readObject(shared), readObject(own), {
    tokens: ["access_token", "refresh_token"],
    expires: "expiry_date",
  });
  return login && JSON.stringify(login, null, 2);
}

function inWorkspace({ workspace }: TurnRequest): Record<string, string> {
  return Object.fromEntries(
    Object.entries(workspaceFiles).map(([name, content]) => [join(workspace, ".qwen", name), content]),
  );
}
