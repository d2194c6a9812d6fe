// Installs every agent CLI at its known-good version into data/cache/npm, for the tests in tests/real, and an older codex
// into data/cache/older-codex, for tests/real/codex-versions.test.ts.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { ensureBuild, root } from "./ensure.mjs";

await ensureBuild();
const program = `
import { agents, installAgent } from ${JSON.stringify(join(root, "lib/agents/index.ts"))};
const install = async (agent, folder, version) => {
  console.log("installing " + agent.npmPackage + "@" + version);
  const npmPrefix = ${JSON.stringify(join(root, "data/cache"))} + "/" + folder;
  await installAgent(agent, { npmPrefix, version, environment: process.env });
};
for (const agent of agents) {
  if (agent.unavailable === null) await install(agent, "npm", agent.knownGoodVersion);
}
await install(agents.find(({ id }) => id === "codex"), "older-codex", "0.98.0");`;
const { status } = spawnSync(process.execPath, ["--import", "tsx", "--input-type=module", "-e", program], {
  cwd: root,
  stdio: "inherit",
});
process.exit(status ?? 1);
