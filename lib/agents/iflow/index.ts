import { lstatSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { type Agent, type TurnRequest, takes } from "../agent.ts";
import { iflowSettings } from "./config.ts";
import { iflowModels } from "./models.ts";
import { explainIflowStderr, readIflow } from "./stream.ts";

/** Largest execution info that is read; it has about 300 bytes. */
const maxInfoBytes = 1024 * 1024;

/**
 * iFlow CLI, a fork of gemini's, driven in its text mode (https://platform.iflow.cn/en/cli). Its vendor took the
 * package from npm and closed the service; versions that people still have speak to any OpenAI-compatible endpoint.
 * Written from what is published about 0.5.19 and tried with a stand-in (`tests/iflow-stand-in`) only.
 */
export const iflow: Agent = {
  id: "iflow",
  title: "iFlow CLI",
  npmPackage: "@iflow-ai/iflow-cli",
  knownGoodVersion: null,
  unavailable:
    "Its vendor has withdrawn @iflow-ai/iflow-cli from npm: " +
    "put an iflow executable you have into the bin folder of the npm prefix, or into PATH.",
  binary: "iflow",
  skillsFolder: ".iflow/skills",
  invokeLine: (skillId) => `Invoke skill named ${skillId}`,
  credentialFiles: [".iflow/iflow_accounts.json", ".iflow/oauth_creds.json"],
  credentialRule: "all",
  login: { terminal: { args: [], steps: "Choose how to log in, and follow the link that it shows." } },
  homes: [{ config: "iflow", home: ".iflow" }],
  settings: [".iflow/settings.json", ".iflow/.env", ".iflow/IFLOW.md"],
  // IFLOW_HOME moves sessions and logs, but not the settings.
  configVariable: null,
  bootstrapFiles: { "iflow/settings.json": `${JSON.stringify({ selectedAuthType: "iflow" }, null, 2)}\n` },
  environment: ["IFLOW_API_KEY", "IFLOW_BASE_URL", "IFLOW_MODEL_NAME"],
  keyVariables: ["IFLOW_API_KEY"],
  // It ends with an error for an option it does not know.
  helpArgs: ["--help"],
  sandboxProbes: [],
  capabilities: { resume: true, outputSchema: false, efforts: [] },
  // Those of gemini: nobody has measured it.
  estimate: { memoryMiB: 320, processes: 24, descriptors: 64 },
  models: iflowModels,
  modelProbe: null,
  skillConfigFile: "iflow_settings.json",
  command(turn) {
    // No -p: the prompt comes on stdin alone.
    const args = ["--yolo"];
    if (takes(turn.cli, "--thinking")) args.push("--thinking");
    if (takes(turn.cli, "--output-file")) args.push("--output-file", infoFile(turn));
    if (turn.model !== null) args.push("--model", turn.model);
    if (turn.sessionId !== null) args.push("--resume", turn.sessionId);
    return {
      args,
      env: {
        // What -p would have set.
        IFLOW_NON_INTERACTIVE: "true",
        // iflow reads .env files of the workspace and above it, but only for variables that are not set.
        ...(turn.model === null ? {} : { IFLOW_MODEL_NAME: turn.model }),
      },
      files: {
        [join(turn.workspace, ".iflow/settings.json")]: `${JSON.stringify(iflowSettings(turn), null, 2)}\n`,
      },
    };
  },
  read: (turn) => readIflow(() => readText(infoFile(turn))),
  toolsUnheard: true,
  // A model call that fails after the first words leaves a stream like that of a good turn.
  stderrRules: true,
  explainStderr: explainIflowStderr,
};

/** In the run's temporary folder: the turn's own is not the CLI's to write to when it is sandboxed. */
function infoFile({ turnDir, environment: { TMPDIR } }: TurnRequest): string {
  if (TMPDIR === undefined) return join(turnDir, "execution-info.json");
  return join(TMPDIR, `iflow-${basename(turnDir)}.json`);
}

/** Null when there is no such file, or something else stands there, which the agent may have put in its place. */
function readText(path: string): string | null {
  try {
    const info = lstatSync(path);
    return info.isFile() && info.size <= maxInfoBytes ? readFileSync(path, "utf8") : null;
  } catch {
    return null;
  }
}
