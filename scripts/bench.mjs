// npm run bench: installs and builds what is missing, then measures the built server. See docs/performance.md.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { ensureBuild, root } from "./ensure.mjs";

await ensureBuild();
const bench = spawnSync(
  process.execPath,
  ["--import", "tsx", join(root, "bench/main.ts"), ...process.argv.slice(2)],
  { cwd: root, stdio: "inherit" },
);
process.exit(bench.status ?? 1);
