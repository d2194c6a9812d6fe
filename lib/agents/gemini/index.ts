import { join } from "node:path";
import { type Agent, takes } from "../agent.ts";
import { efforts, geminiSettings, keyVariables } from "./config.ts";
import { geminiModels } from "./models.ts";
import { explainGeminiStderr, readGemini } from "./stream.ts";

const signInWithGoogle = { security: { auth: { selectedType: "oauth-personal" } } };

/** Google's gemini CLI, driven by `gemini -o stream-json` (https://geminicli.com/docs/cli/headless). */
export const gemini: Agent = {
  id: "gemini",
  title: "Google Gemini CLI",
  npmPackage: "@google/gemini-cli",
  knownGoodVersion: "0.61.0",
  unavailable: null,
  binary: "gemini",
  skillsFolder: ".gemini/skills",
  // In words: a line that begins with "/" may be taken for a command of the CLI, and there is none for a skill.
  invokeLine: (skillId) => `Activate the skill "${skillId}" with the activate_skill tool, then follow it.`,
  credentialFiles: [".gemini/google_accounts.json", ".gemini/oauth_creds.json"],
  credentialRule: "all",
  login: {
    terminal: { args: [], steps: "Choose to sign in with Google, and follow the link that it shows." },
  },
  homes: [{ config: "gemini", home: ".gemini" }],
  settings: [
    ".gemini/settings.json",
    ".gemini/.env",
    ".gemini/GEMINI.md",
    ".gemini/commands",
    ".gemini/extensions",
    ".gemini/policies",
  ],
  configVariable: null,
  bootstrapFiles: { "gemini/settings.json": `${JSON.stringify(signInWithGoogle, null, 2)}\n` },
  environment: [
    "GEMINI_API_KEY",
    "GEMINI_API_KEY_AUTH_MECHANISM",
    "GEMINI_MODEL",
    "GEMINI_CLI_CUSTOM_HEADERS",
    "GOOGLE_GEMINI_BASE_URL",
    "GOOGLE_VERTEX_BASE_URL",
    "GOOGLE_GENAI_API_VERSION",
    "GOOGLE_GENAI_USE_GCA",
    "GOOGLE_GENAI_USE_VERTEXAI",
    "GOOGLE_API_KEY",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_CLOUD_LOCATION",
    "GOOGLE_CLOUD_PROJECT",
  ],
  keyVariables,
  helpArgs: ["--help"],
  // Its sandboxes are containers and macOS profiles; neither is used here.
  sandboxProbes: [],
  capabilities: { resume: true, outputSchema: false, efforts },
  estimate: { memoryMiB: 320, processes: 24, descriptors: 64 },
  models: geminiModels,
  modelProbe: null,
  skillConfigFile: "gemini_settings.json",
  command(turn) {
    const approve = takes(turn.cli, "--approval-mode");
    // No -p: the prompt comes on stdin alone.
    const args = ["-o", "stream-json", ...(approve ? ["--approval-mode", "yolo"] : ["--yolo"])];
    if (turn.model !== null) args.push("-m", turn.model);
    if (turn.sessionId !== null) args.push("--resume", turn.sessionId);
    const settings = `${JSON.stringify(geminiSettings(turn), null, 2)}\n`;
    return {
      args,
      env: {
        // Settings and skills of a folder are read in a trusted one only; --skip-trust comes too late for the settings.
        GEMINI_CLI_TRUST_WORKSPACE: "true",
        // One process instead of two: the first would only start the second with more heap.
        GEMINI_CLI_NO_RELAUNCH: "true",
      },
      files: { [join(turn.workspace, ".gemini/settings.json")]: settings },
    };
  },
  read: readGemini,
  explainStderr: explainGeminiStderr,
};
