import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export const root = join(import.meta.dirname, "../..");
export const image = "skill-runner:local";

export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

/** Folders of one operator's machine, and podman (runc, its images in plain folders) to run containers with. */
export interface Site {
  folder: string;
  /** Runs a program with podman's settings. Never rejects. */
  run(file: string, args: string[], more?: { cwd?: string; env?: Record<string, string> }): Promise<Ran>;
  podman(...args: string[]): Promise<Ran>;
  /** Starts the image with the mounts of the compose file. */
  start(options?: StartOptions): Promise<Started>;
  /** A command instead of the server, in a container of its own with the same mounts. */
  command(...command: string[]): Promise<Ran>;
  remove(): Promise<void>;
}

export interface StartOptions {
  env?: Record<string, string>;
  /** Options of `podman run`. */
  options?: string[];
  /** What is mounted instead of the site's folder. */
  mounts?: string[];
}

export interface Started {
  name: string;
  url: string;
  /** Milliseconds from the start of the container to its first answer. */
  answeredAfter: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came back
  json(method: string, path: string, body?: object): Promise<{ status: number; body: any }>;
  logs(): Promise<string>;
}

const answerTimeoutMs = 60_000;

export async function makeSite(): Promise<Site> {
  const folder = await mkdtemp(join(tmpdir(), "container-"));
  for (const name of ["agent_config", "cache", "data"]) await mkdir(join(folder, name));
  await cp(join(root, "skills"), join(folder, "skills"), { recursive: true });
  const settings = join(folder, "containers.conf");
  await writeFile(
    settings,
    '[containers]\ndefault_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]\n[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n',
  );
  const names: string[] = [];
  const run: Site["run"] = (file, args, { cwd = folder, env = {} } = {}) =>
    new Promise((resolve) => {
      const own = {
        STORAGE_DRIVER: "vfs",
        CONTAINERS_CONF: settings,
        SKILL_RUNNER_BOOTSTRAP_ENGINES: "none",
      };
      const options = { cwd, env: { ...process.env, ...own, ...env }, maxBuffer: 64 * 1024 * 1024 };
      execFile(file, args, options, (error, stdout, stderr) => {
        resolve({
          code: error === null ? 0 : typeof error.code === "number" ? error.code : 1,
          stdout,
          stderr,
        });
      });
    });
  const podman: Site["podman"] = (...args) => run("podman", args);
  const places = { skills: "/app/skills", agent_config: "/opt/config", cache: "/opt/cache", data: "/data" };
  const mountsOf = Object.entries(places).flatMap(([name, at]) => ["-v", `${join(folder, name)}:${at}`]);
  // The model that a test plays listens on this machine's 127.0.0.1.
  const base = ["--network", "host", "-e", "SKILL_RUNNER_BOOTSTRAP_ENGINES=none"];
  return {
    folder,
    run,
    podman,
    command: (...command) => podman("run", "--rm", ...base, ...mountsOf, image, ...command),
    async start({ env = {}, options = [], mounts = mountsOf } = {}) {
      const port = await freePort();
      const name = `skill-runner-test-${port}`;
      names.push(name);
      const variables = Object.entries({ PORT: String(port), ...env }).flatMap(([key, value]) => [
        "-e",
        `${key}=${value}`,
      ]);
      const args = ["run", "-d", "--name", name, ...base, ...variables, ...options, ...mounts, image];
      const ran = await podman(...args);
      if (ran.code !== 0) throw new Error(`podman ${args.join(" ")}: ${ran.stderr}`);
      const started = performance.now();
      const url = `http://127.0.0.1:${port}`;
      const logs = async () => {
        const { stdout, stderr } = await podman("logs", name);
        return stdout + stderr;
      };
      const answers = async (path: string) => {
        while ((await fetch(url + path).catch(() => null))?.status !== 200) {
          if (performance.now() - started > answerTimeoutMs) throw new Error(`no answer: ${await logs()}`);
          await sleep(20);
        }
        return performance.now() - started;
      };
      const answeredAfter = await answers("/healthz");
      await answers("/readyz");
      return {
        name,
        url,
        answeredAfter,
        async json(method, path, body) {
          const headers = { "content-type": "application/json" };
          const init = body === undefined ? { method } : { method, headers, body: JSON.stringify(body) };
          const response = await fetch(url + path, init);
          return { status: response.status, body: await response.json() };
        },
        logs,
      };
    },
    async remove() {
      for (const name of names) await podman("rm", "-f", "-t", "0", name);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
