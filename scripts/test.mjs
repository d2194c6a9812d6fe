// npm test: installs what is missing, then checks types, lint and every test that needs nothing else.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { ensureBuild, root } from "./ensure.mjs";

await ensureBuild();
const bin = (name) => join(root, "node_modules/.bin", name);
const args = process.argv.slice(2);
// With arguments it is a tool at work on a few tests; without, it is the whole check.
const steps =
  args.length > 0
    ? [["vitest", ["run", "--project", "unit", ...args]]]
    : [
        ["biome", ["ci", "--error-on-warnings", "."]],
        ["tsc", ["--noEmit"]],
        ["vitest", ["run", "--project", "unit"]],
      ];
for (const [name, options] of steps) {
  console.log(`> ${name} ${options.join(" ")}`);
  const { status } = spawnSync(bin(name), options, { cwd: root, stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}
if (args.length === 0)
  console.log(
    "\nNot run here: the real agent CLIs (npm run test:real, fetches them from npm), the crash tests (npm run test:crash), hostile requests (npm run test:fuzz), the storage servers (npm run test:storage, needs redis-server and PostgreSQL), the container (npm run test:container, needs buildah and podman) and the bench (npm run bench).",
  );
