import { join } from "node:path";
import { RunnerError } from "../../errors.ts";
import { type Agent, type TurnRequest, takes } from "../agent.ts";
import { readObject, withRenewedTokens } from "../renewed-tokens.ts";
import { opencodeConfig, skillsFolder } from "./config.ts";
import { opencodeModels, readOpencodeModels } from "./models.ts";
import { pluginSource, startOnlyEnvironment } from "./plugin.ts";
import { explainOpencodeStderr, readOpencode } from "./stream.ts";

/** Keys of the providers opencode knows by itself; a provider of the user's own brings its key in opencode's files. */
const keyVariables = [
  "OPENCODE_API_KEY",
  "ANTHROPIC_API_KEY",
  "OPENAI_API_KEY",
  "GEMINI_API_KEY",
  "GOOGLE_GENERATIVE_AI_API_KEY",
  "OPENROUTER_API_KEY",
  "DEEPSEEK_API_KEY",
  "GROQ_API_KEY",
  "MISTRAL_API_KEY",
  "XAI_API_KEY",
  "MOONSHOT_API_KEY",
  "ZHIPU_API_KEY",
  "DASHSCOPE_API_KEY",
  "MINIMAX_API_KEY",
  "CEREBRAS_API_KEY",
  "FIREWORKS_API_KEY",
  "TOGETHER_API_KEY",
  "AI_GATEWAY_API_KEY",
  "AZURE_API_KEY",
  "AWS_BEARER_TOKEN_BEDROCK",
];

/** The variable of a provider's key; null for a provider of the user's own. */
function keyOfProvider(provider: string): string | null {
  const named =
    provider === "google" ? "GEMINI_API_KEY" : `${provider.toUpperCase().replaceAll("-", "_")}_API_KEY`;
  return keyVariables.includes(named) ? named : null;
}

/** opencode, driven by `opencode run --format json` (https://opencode.ai/docs/cli). */
export const opencode: Agent = {
  id: "opencode",
  title: "opencode CLI",
  npmPackage: "opencode-ai",
  knownGoodVersion: "1.18.33",
  unavailable: null,
  binary: "opencode",
  skillsFolder,
  // The skill tool needs ripgrep, which opencode downloads where it is not installed: without a network only the file is left.
  invokeLine: (skillId) =>
    `Use the skill "${skillId}": load it with the skill tool, or else read ${skillsFolder}/${skillId}/SKILL.md, and do what it says.`,
  credentialFiles: [".local/share/opencode/auth.json"],
  credentialRule: "any",
  // An entry of type "wellknown" names an address from which every later run would take settings, with commands in them.
  ownCopies: { ".local/share/opencode/auth.json": renewedLogins },
  login: {
    terminal: { args: ["auth", "login"], steps: "Choose the provider of your model." },
    keyVariable: keyOfProvider,
  },
  homes: [
    { config: "opencode/config", home: ".config/opencode" },
    { config: "opencode/data", home: ".local/share/opencode" },
  ],
  // Not the folder: opencode writes into it at its start.
  settings: [
    ...[
      "opencode.json",
      "opencode.jsonc",
      "config.json",
      "AGENTS.md",
      "agent",
      "agents",
      "command",
      "commands",
    ],
    ...["plugin", "plugins", "skill", "skills", "tool", "tools"],
  ].map((name) => `.config/opencode/${name}`),
  configVariable: null,
  bootstrapFiles: {},
  environment: [...keyVariables, "OPENCODE_CONFIG", "AZURE_RESOURCE_NAME", "AWS_REGION"],
  keyVariables,
  helpArgs: ["run", "--help"],
  sandboxProbes: [],
  capabilities: {
    resume: true,
    outputSchema: false,
    efforts: ["none", "minimal", "low", "medium", "high", "xhigh", "max"],
  },
  estimate: { memoryMiB: 960, processes: 20, descriptors: 96 },
  models: opencodeModels,
  modelProbe: { args: ["models", "--verbose"], read: readOpencodeModels },
  skillConfigFile: "opencode_config.json",
  command(turn) {
    const plugin = join(turn.turnDir, "opencode-plugin.js");
    const args = ["run", "--format", "json"];
    // What it logs of an error is on stderr then; its stream says "Unexpected server error" for many.
    args.push("--print-logs", "--log-level", "ERROR");
    if (takes(turn.cli, "--thinking")) args.push("--thinking");
    // Before there was `--auto`, the settings had to allow everything; they still do.
    if (takes(turn.cli, "--auto")) args.push("--auto");
    // Without a title it asks a model for one.
    if (takes(turn.cli, "--title")) args.push("--title", turn.skillId);
    if (turn.model !== null) args.push("--model", modelName(turn));
    if (turn.effort !== null && takes(turn.cli, "--variant")) args.push("--variant", turn.effort);
    if (turn.sessionId !== null) args.push("--session", turn.sessionId);
    return {
      args,
      env: {
        OPENCODE_CONFIG_CONTENT: opencodeConfig(turn, plugin),
        // Instructions, settings and skills of the folders above the workspace and of other CLIs are not the run's.
        OPENCODE_DISABLE_PROJECT_CONFIG: "1",
        OPENCODE_DISABLE_EXTERNAL_SKILLS: "1",
        OPENCODE_DISABLE_CLAUDE_CODE: "1",
        OPENCODE_DISABLE_AUTOUPDATE: "1",
        OPENCODE_DISABLE_LSP_DOWNLOAD: "1",
        // The catalogue inside the binary (or the one a login fetched) is enough; a new one is megabytes per run.
        OPENCODE_DISABLE_MODELS_FETCH: "1",
        ...startOnlyEnvironment,
      },
      files: { [plugin]: pluginSource(keyVariables) },
    };
  },
  read: readOpencode,
  explainStderr: explainOpencodeStderr,
};

/** The logins that there were, with the tokens of those by OAuth as a run renewed them; no new ones, no keys. */
function renewedLogins(shared: string, own: string): string | null {
  const logins = readObject(shared);
  const ofRun = readObject(own);
  if (logins === null || ofRun === null) return null;
  const renewed = Object.entries(logins).flatMap(([provider, login]) => {
    if (!isOauth(login) || !isOauth(ofRun[provider])) return [];
    const tokens = { tokens: ["access", "refresh"], expires: "expires" };
    const after = withRenewedTokens(login, ofRun[provider], tokens);
    return after === null ? [] : [[provider, after] as const];
  });
  if (renewed.length === 0) return null;
  return JSON.stringify({ ...logins, ...Object.fromEntries(renewed) }, null, 2);
}

function isOauth(login: unknown): boolean {
  return login instanceof Object && "type" in login && login.type === "oauth";
}

/** @throws RunnerError MODEL_INVALID: a model without its provider is none to opencode. */
function modelName({ provider, model }: TurnRequest): string {
  if (provider !== null) return `${provider}/${model}`;
  const advice =
    'opencode names models as provider/model, as in "opencode/big-pickle"; see `opencode models`.';
  throw new RunnerError("MODEL_INVALID", `The model "${model}" has no provider: ${advice}`);
}
