import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import type { Agent } from "./agent.ts";

export interface InstallOptions {
  npmPrefix: string;
  /** Version to install; the known-good one when not given. */
  version?: string;
  environment: Readonly<Record<string, string | undefined>>;
  signal?: AbortSignal;
}

/**
 * Installs an agent's CLI from npm into the managed prefix. Resolves with npm's last words; rejects with them when npm
 * fails, in which case what was installed before is still there (npm swaps packages in whole).
 */
export async function installAgent(agent: Agent, options: InstallOptions): Promise<string> {
  await mkdir(options.npmPrefix, { recursive: true });
  const target = `${agent.npmPackage}@${options.version ?? agent.knownGoodVersion}`;
  // Loaded when first needed: it is a third of what a start would read.
  const { execa } = await import("execa");
  const result = await execa(
    "npm",
    ["install", "--global", "--prefix", options.npmPrefix, "--no-fund", "--no-audit", target],
    {
      cwd: dirname(options.npmPrefix),
      extendEnv: false,
      env: withoutNpmSettings(options.environment),
      stdin: "ignore",
      all: true,
      reject: false,
      ...(options.signal === undefined ? {} : { cancelSignal: options.signal }),
    },
  );
  const lastWords = result.all.split("\n").slice(-20).join("\n").trim();
  if (result.failed) throw new Error(`npm could not install ${target}: ${lastWords}`);
  return lastWords;
}

// Under `npm run`, npm hands its own settings down as npm_config_*: a prefix among them would win over ours.
function withoutNpmSettings(environment: Readonly<Record<string, string | undefined>>) {
  return Object.fromEntries(
    Object.entries(environment).filter(([name]) => !/^npm_(config|package|lifecycle)_/.test(name)),
  );
}
