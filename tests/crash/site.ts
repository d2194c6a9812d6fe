import { cpSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type LaunchedServer, launchBuiltServer } from "../server-process.ts";

const here = import.meta.dirname;

/** The folders of one server: its data alone may change. */
export interface Site {
  folder: string;
  dataDir: string;
  env: Record<string, string>;
  launch(more?: Record<string, string>): LaunchedServer;
  /** What the agents wrote down, in order. */
  marks(): Promise<AgentMark[]>;
  /** Ends every server of the site that is still alive, and removes its folders. */
  remove(): Promise<void>;
}

/** One line of `tests/crash/agent.mjs`. */
export interface AgentMark {
  run: string;
  pid: number;
  /** Milliseconds since the epoch. */
  at: number;
  mark: "start" | "end" | "wrong-session" | "uploads";
  /** The session it was asked to go on with. */
  resumes?: string | null;
  /** Processes of the same run that were alive at its start. */
  others?: string[];
  uploaded?: string[];
}

/** Questions that every start asks a CLI are answered without the time that Node takes to start. */
const codex = `#!/bin/sh
case "$*" in
  *--version*) echo "codex-cli 0.169.0"; exit 0 ;;
  sandbox*|*--help*) exit 0 ;;
esac
exec "${process.execPath}" "${join(here, "agent.mjs")}" "$@"
`;

/** @param dataDir elsewhere than in the site's own folder: on a file system of its own */
export async function makeSite(dataDir?: string): Promise<Site> {
  const folder = await mkdtemp(join(tmpdir(), "crash-"));
  const prefix = join(folder, "npm");
  for (const name of ["home", "tmp", "npm/bin"]) await mkdir(join(folder, name), { recursive: true });
  cpSync(join(here, "../../skills"), join(folder, "skills"), { recursive: true });
  await writeAskingSkill(join(folder, "skills/asks"));
  await writeFile(join(prefix, "bin/codex"), codex);
  await chmod(join(prefix, "bin/codex"), 0o755);
  const env = {
    HOME: join(folder, "home"),
    TMPDIR: join(folder, "tmp"),
    SKILL_RUNNER_DATA_DIR: dataDir ?? join(folder, "data"),
    SKILL_RUNNER_SKILLS_DIR: join(folder, "skills"),
    NPM_CONFIG_PREFIX: prefix,
    // The stand-in keeps its files beside itself.
    SKILL_RUNNER_SANDBOX: "off",
    SKILL_RUNNER_MAX_CONCURRENT_HARD_CAP: "1",
    SKILL_RUNNER_CPU_FACTOR: "8",
    PROCESS_TERMINATE_GRACE_SEC: "1",
    // The stand-in has no sandbox that would end its tools with it: the server has to.
    LANDLOCK_ENABLED: "0",
  };
  const launched: LaunchedServer[] = [];
  return {
    folder,
    dataDir: env.SKILL_RUNNER_DATA_DIR,
    env,
    launch(more = {}) {
      const server = launchBuiltServer({ ...env, ...more });
      launched.push(server);
      return server;
    },
    async marks() {
      const text = await readFile(join(prefix, "agents.jsonl"), "utf8").catch(() => "");
      return text
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line));
    },
    async remove() {
      // Also one that never got ready: no test may leave a server behind.
      for (const { child, exited } of launched) {
        child.kill("SIGKILL");
        await exited;
      }
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A skill that runs in interactive mode. */
async function writeAskingSkill(folder: string): Promise<void> {
  const output = {
    type: "object",
    properties: { colour: { type: "string" } },
    required: ["colour"],
    additionalProperties: false,
  };
  await mkdir(join(folder, "assets"), { recursive: true });
  await writeFile(join(folder, "SKILL.md"), "---\nname: asks\ndescription: Asks for a colour.\n---\nAsk.\n");
  const manifest = { id: "asks", version: "1.0.0", execution_modes: ["interactive"] };
  await writeFile(join(folder, "assets/runner.json"), JSON.stringify(manifest));
  await writeFile(join(folder, "assets/output.schema.json"), JSON.stringify(output));
}
