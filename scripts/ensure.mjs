// Makes sure that node_modules fits the lockfile, so that every command of the README works on a fresh clone.
import { execFileSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..");

const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Skill Runner needs Node 20.19 or newer; this is ${process.version}.`);
  process.exit(1);
}

/** Runs `npm ci` when node_modules is missing or older than the lockfile. */
export function ensureDependencies() {
  if (modified("node_modules/.package-lock.json") >= modified("package-lock.json")) return;
  console.error("Installing dependencies (npm ci) ...");
  execFileSync("npm", ["ci", "--no-fund", "--no-audit"], { cwd: root, stdio: ["ignore", 2, 2] });
}

/** Builds dist/ when it is missing or not made from this source. */
export async function ensureBuild() {
  ensureDependencies();
  const { build, sourceStamp } = await import("./build.mjs");
  if (readText("dist/.stamp") === sourceStamp()) return;
  await build();
}

function modified(path) {
  try {
    return statSync(join(root, path)).mtimeMs;
  } catch {
    return 0;
  }
}

function readText(path) {
  try {
    return readFileSync(join(root, path), "utf8");
  } catch {
    return null;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes("--build")) await ensureBuild();
  else ensureDependencies();
}
