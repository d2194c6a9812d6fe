import { spawnSync } from "node:child_process";
import { accessSync, constants, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Agent } from "../agent.ts";
import { claude } from "../claude/index.ts";
import { codex } from "../codex/index.ts";
import { gemini } from "../gemini/index.ts";
import { opencode } from "../opencode/index.ts";
import { qwen } from "../qwen/index.ts";
import type { JailedRun } from "./host.ts";
import { createJail, type JailOptions } from "./jail.ts";

/** Whether bubblewrap works here; says so, loudly, where it does not: the tests of the sandbox are not run then. */
export function bubblewrapWorks(file: string): boolean {
  const args = ["--unshare-user", "--unshare-pid", "--ro-bind", "/", "/", "--proc", "/proc", "true"];
  const tried = spawnSync("bwrap", args);
  if (tried.status !== 0)
    console.warn(`NOT RUN: ${file}, as bubblewrap does not work here:`, String(tried.stderr ?? tried.error));
  return tried.status === 0;
}

/** Folders of which one lies where nothing is hidden, and may be written to. */
const open = [join(import.meta.dirname, "../../../data"), "/srv", "/opt", "/mnt"];

/** A new folder that an agent in the jail would see, were nothing in it hidden; null where this user can make none. */
export function makeVisibleFolder(): string | null {
  for (const folder of open) {
    try {
      if (/^\/(tmp|var\/tmp|home|root|run)\//.test(folder)) continue;
      accessSync(folder, constants.W_OK);
      return mkdtempSync(join(folder, "skill-runner-jail-"));
    } catch {
      // The next one.
    }
  }
  return null;
}

/** Writes a file, its folders with it, and gives its path. */
export function put(path: string, text = ""): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}

/** A machine in a folder: home, data and project in it; programs are the real ones. */
export function machineIn(
  folder: string,
  environment: Record<string, string> = {},
  more: Partial<JailOptions> = {},
) {
  const at = (name: string) => join(folder, name);
  const options: JailOptions = {
    setting: "required",
    environment: { HOME: at("home"), PATH: process.env.PATH, ...environment },
    agents: [codex, claude, gemini, qwen, opencode],
    npmPrefix: at("data/npm"),
    serverFolders: [at("data")],
    serverFiles: [],
    ...more,
  };
  for (const name of ["home", "data/npm"]) mkdirSync(at(name), { recursive: true });
  const [data = at("data")] = options.serverFolders;
  const run: JailedRun = {
    workspace: join(data, "run/workspace"),
    temporary: join(data, "run/tmp"),
    home: join(data, "run/home"),
    turnDir: null,
  };
  const jail = createJail(options);
  const env = { HOME: options.environment.HOME ?? "/", PATH: options.environment.PATH ?? "" };
  const enclose = (agent: Agent, script: string) =>
    jail.around(agent, "/bin/sh", run, { executable: "/bin/sh", args: ["-c", script], env });
  return {
    jail,
    run,
    at,
    enclose,
    /** What a script prints in the jail of a run, stderr with it. */
    async inside(agent: Agent, script: string): Promise<string> {
      const { command, settle } = await enclose(agent, script);
      const { stdout, stderr } = spawnSync(command.executable, command.args, {
        env: command.env,
        encoding: "utf8",
        timeout: 20_000,
      });
      settle();
      return `${stdout}${stderr}`.trim();
    },
  };
}
