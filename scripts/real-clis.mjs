// Installs every agent CLI at its known-good version into data/cache/npm, for the tests in tests/real.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { ensureBuild, root } from "./ensure.mjs";

await ensureBuild();
const program = `
import { agents, installAgent } from ${JSON.stringify(join(root, "lib/agents/index.ts"))};
for (const agent of agents) {
  console.log("installing " + agent.npmPackage + "@" + agent.knownGoodVersion);
  await installAgent(agent, { npmPrefix: ${JSON.stringify(join(root, "data/cache/npm"))}, environment: process.env });
}`;
const { status } = spawnSync(process.execPath, ["--import", "tsx", "--input-type=module", "-e", program], {
  cwd: root,
  stdio: "inherit",
});
process.exit(status ?? 1);
