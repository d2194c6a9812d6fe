import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { ask } from "./http.ts";
import { installStandIn, type Program } from "./stand-in.ts";

const root = join(import.meta.dirname, "..");
export const skillsDir = join(root, "skills");

/** Children that run: none may outlive the bench, however it ends. */
const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** Starts Node on a program of its own. */
export function startNode(program: string, args: string[], options: SpawnOptions): ChildProcess {
  return start(process.execPath, [program, ...args], options);
}

/** Starts a program that ends with the bench at the latest. */
export function start(program: string, args: string[], options: SpawnOptions): ChildProcess {
  const child = spawn(program, args, options);
  running.add(child);
  child.once("exit", () => running.delete(child));
  return child;
}

export interface ServerProcess {
  url: string;
  pid: number;
  dataDir: string;
  npmPrefix: string;
  environment: Record<string, string | undefined>;
  /** Milliseconds from the spawn to the first 200 of /readyz: it takes work. */
  startedInMs: number;
  stop(): Promise<void>;
}

/**
 * Starts the built server as a process of its own on a free port, with everything it keeps in `folder`.
 * @param more what else its environment says; an npm prefix is taken to have its stand-in
 */
export async function startServer(
  folder: string,
  program: Program = "node",
  more: Readonly<Record<string, string>> = {},
): Promise<ServerProcess> {
  const npmPrefix = more.NPM_CONFIG_PREFIX ?? join(folder, "npm");
  const dataDir = join(folder, "data");
  mkdirSync(join(folder, "home"), { recursive: true });
  if (more.NPM_CONFIG_PREFIX === undefined) installStandIn(npmPrefix, program);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const environment = {
    PATH: process.env.PATH,
    HOME: join(folder, "home"),
    PORT: String(port),
    LOG_LEVEL: "warn",
    SKILL_RUNNER_DATA_DIR: dataDir,
    SKILL_RUNNER_SKILLS_DIR: skillsDir,
    NPM_CONFIG_PREFIX: npmPrefix,
    // The stand-in keeps its files beside itself.
    SKILL_RUNNER_SANDBOX: "off",
    ...more,
  };
  const spawned = performance.now();
  const child = startNode(join(root, "dist/runtime/main.js"), [], {
    cwd: folder,
    stdio: ["ignore", "inherit", "inherit"],
    env: environment,
  });
  await answers(`${url}/readyz`, child);
  const startedInMs = performance.now() - spawned;
  const pid = child.pid ?? 0;
  return { url, pid, dataDir, npmPrefix, environment, startedInMs, stop: () => stop(child) };
}

/** Asks until the answer is 200, a millisecond apart: a refused connection costs the machine next to nothing. */
async function answers(url: string, child: ChildProcess): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode} while it started`);
    const status = await ask(url).then(
      (reply) => reply.status,
      () => 0,
    );
    if (status === 200) return;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Ends a child process and waits until it is gone. */
export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  await gone;
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

/** Processor time a process has used so far, in ms. Linux counts it in hundredths of a second. */
export function cpuTime(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** Memory of a process that is in RAM, in MiB. */
export function residentMemory(pid: number): number {
  const line = /VmRSS:\s*(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(line?.[1]) / 1024;
}
