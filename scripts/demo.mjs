// npm run demo: installs and builds what is missing, then runs a skill with the real codex against a scripted model.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { ensureBuild, root } from "./ensure.mjs";

await ensureBuild();
const demo = spawnSync(process.execPath, ["--import", "tsx", join(root, "scripts/demo/main.ts")], {
  cwd: root,
  stdio: "inherit",
});
process.exit(demo.status ?? 1);
