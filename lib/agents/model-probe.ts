import { rm } from "node:fs/promises";
import type { Agent, ModelInfo } from "./agent.ts";
import { askCli } from "./ask-cli.ts";
import { allowedEnvironment } from "./environment.ts";
import type { Installation } from "./installation.ts";
import { makeProbeFolder } from "./probe-folders.ts";

/** The models an installed CLI lists; "none" when it cannot be asked, "failed" when it was asked in vain. */
export type ModelProbe = (
  agent: Agent,
  installation: Installation | null,
) => Promise<ModelInfo[] | "none" | "failed">;

export interface ModelProbeOptions {
  npmPrefix: string;
  environment: Readonly<Record<string, string | undefined>>;
}

const timeoutMs = 20_000;
/** Milliseconds an answer is good for: which models there are depends on logins and on the vendor's own list too. */
const goodForMs = 60 * 60_000;
const failureGoodForMs = 60_000;

/** Asks a CLI for its models, once per installed version and hour. */
export function createModelProbe(options: ModelProbeOptions): ModelProbe {
  const cache = new Map<string, { stamp: string; until: number; models: Promise<ModelInfo[] | "failed"> }>();
  return async (agent, installation) => {
    const { modelProbe } = agent;
    if (modelProbe === null || installation === null || installation.version === null) return "none";
    const known = cache.get(agent.id);
    if (known?.stamp === installation.stamp && performance.now() < known.until) return known.models;
    const models = ask(agent, modelProbe, installation.path, options).catch(() => "failed" as const);
    const entry = { stamp: installation.stamp, until: performance.now() + goodForMs, models };
    cache.set(agent.id, entry);
    if ((await models) === "failed") entry.until = performance.now() + failureGoodForMs;
    return models;
  };
}

async function ask(
  agent: Agent,
  probe: NonNullable<Agent["modelProbe"]>,
  path: string,
  { npmPrefix, environment }: ModelProbeOptions,
): Promise<ModelInfo[]> {
  // An empty folder: some CLIs read settings from where they are started.
  const cwd = await makeProbeFolder();
  try {
    const { stdout, failed } = await askCli(path, probe.args, {
      env: allowedEnvironment(agent, { server: environment, npmPrefix }),
      cwd,
      timeoutMs,
      maxBuffer: 4 * 1024 * 1024,
    });
    if (failed) throw new Error("the models could not be listed");
    const models = probe.read(stdout);
    if (models.length === 0) throw new Error("no models were listed");
    return models;
  } finally {
    await rm(cwd, { recursive: true, force: true });
  }
}
