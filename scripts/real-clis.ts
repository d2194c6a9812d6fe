// Part of npm run test:real: installs every agent CLI at its known-good version into data/cache/npm, the iflow stand-in
// where there is no real one, and an older codex for tests/real/codex-versions.test.ts into data/cache/older-codex.
import { join } from "node:path";
import { type Agent, agents, createInstallationFinder, installAgent } from "../lib/agents/index.ts";
import { installIflowStandIn } from "../tests/iflow-stand-in/install.ts";

const cache = join(import.meta.dirname, "../data/cache");

async function install(agent: Agent, folder: string, version: string | null): Promise<void> {
  if (version === null) throw new Error(`${agent.id} has no version to install`);
  const npmPrefix = join(cache, folder);
  const found = await createInstallationFinder(npmPrefix, process.env).find(agent);
  if (found?.source === "managed" && found.version === version) return;
  console.log(`installing ${agent.npmPackage}@${version}`);
  await installAgent(agent, { npmPrefix, version, environment: process.env });
}

for (const agent of agents)
  if (agent.unavailable === null) await install(agent, "npm", agent.knownGoodVersion);
for (const agent of agents) if (agent.id === "codex") await install(agent, "older-codex", "0.98.0");
await installIflowStandIn(join(cache, "npm"));
