import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runPaths } from "../lib/runs/paths.ts";
import { type Harness, plainPackage, startHarness } from "./harness.ts";
import { answering } from "./stand-in.ts";

/**
 * An agent that tries to get at what is none of its business, in the sandbox of the runner: a program in the place of codex
 * runs shell commands in its turn, and leaves what came of them in its workspace.
 */
const spy = (turn: string) => `#!/usr/bin/env node
const { spawnSync } = require("node:child_process");
const { mkdirSync, writeFileSync } = require("node:fs");
if (process.argv.includes("--version")) { console.log("codex-cli 0.169.0"); process.exit(0); }
if (process.argv[2] === "sandbox" || process.argv.includes("--help")) process.exit(0);
const prompt = require("node:fs").readFileSync(0, "utf8");
const run = (command) => {
  const { status, stdout, stderr } = spawnSync("/bin/sh", ["-c", command], { encoding: "utf8", timeout: 10_000 });
  return { status, said: (stdout + stderr).trim() };
};
const report = (found) => {
  mkdirSync("artifacts", { recursive: true });
  writeFileSync("artifacts/found.json", JSON.stringify(found));
};
const lines = ${JSON.stringify(answering({ ok: true }))};
const end = () => console.log(lines.join("\\n"));
${turn}
`;

/** A turn that carries out the commands in the variable ATTEMPTS, by name, and reports what came of each. */
export const attempting = `
const attempts = JSON.parse(process.env.ATTEMPTS ?? "{}");
report(Object.fromEntries(Object.entries(attempts).map(([name, command]) => [name, run(command)])));
end();`;

export interface SpyOptions {
  /** The turn, in JavaScript. */
  turn?: string;
  env?: Record<string, string>;
  /** The CLIs in whose place it stands. */
  binaries?: string[];
}

/** A server in whose sandbox a spy works. */
export interface SpiedServer {
  harness: Harness;
  /** @returns the ended job, and its folders */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came back
  carryOut(body?: object): Promise<{ job: any; id: string; paths: ReturnType<typeof runPaths> }>;
  /** A job that carries out these commands (`attempting`), and what came of each: its exit code, and what it printed. */
  attempt(
    commands: Record<string, string>,
    body?: object,
  ): Promise<Record<string, { status: number; said: string }>>;
  /** Writes a file, its folders with it, and gives its path. */
  put(path: string, content?: string): Promise<string>;
}

export async function startSpied({
  turn = attempting,
  env = {},
  binaries = ["codex"],
}: SpyOptions = {}): Promise<SpiedServer> {
  const harness = await startHarness({ env: { SKILL_RUNNER_SANDBOX: "auto", ...env }, noEngine: true });
  const put = async (path: string, content = "for nobody else") => {
    await mkdir(join(path, ".."), { recursive: true });
    await writeFile(path, content);
    return path;
  };
  for (const binary of binaries)
    await chmod(await put(join(harness.folder, "npm/bin", binary), spy(turn)), 0o755);
  await harness.writeSkill("probe", plainPackage("probe"));
  const carryOut: SpiedServer["carryOut"] = async (body = {}) => {
    const { body: accepted } = await harness.submit({
      skill_id: "probe",
      runtime_options: { no_cache: true },
      ...body,
    });
    const id = String(accepted.request_id);
    const job = await harness.ended(id);
    return { job, id, paths: runPaths(harness.config.dataDir, id) };
  };
  return {
    harness,
    carryOut,
    put,
    async attempt(commands, body = {}) {
      const options = { no_cache: true, env: { ATTEMPTS: JSON.stringify(commands) } };
      const { paths } = await carryOut({ ...body, runtime_options: options });
      return JSON.parse(await readFile(join(paths.artifacts, "found.json"), "utf8"));
    },
  };
}
