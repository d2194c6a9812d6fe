import { spawn } from "node:child_process";
import {
  chmod,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { agents } from "../lib/agents/index.ts";
import {
  type FakeRegistry,
  fakeCodex,
  startRegistry,
} from "../lib/agents/manager/npm-registry.test-support.ts";
import { startBuiltServer } from "./server-process.ts";

const root = join(import.meta.dirname, "..");
let folder: string;
let registry: FakeRegistry;

/** As in the image: the scripts and the built server, no sources, no git, no node_modules. */
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "agent-manager-"));
  await cp(join(root, "dist"), join(folder, "app/dist"), { recursive: true });
  await mkdir(join(folder, "app/scripts"));
  for (const name of ["run-built.sh", "agent_manager.sh", "upgrade_agents.sh"])
    await cp(join(root, "scripts", name), join(folder, "app/scripts", name));
  await mkdir(join(folder, "home"));
  registry = await startRegistry(join(folder, "packages"));
});
afterEach(async () => {
  await registry.close();
  await rm(folder, { recursive: true, force: true });
});

const environment = (more: Record<string, string> = {}) => ({
  PATH: [join(folder, "tools"), dirname(process.execPath), "/usr/bin", "/bin"].join(":"),
  HOME: join(folder, "home"),
  SKILL_RUNNER_DATA_DIR: join(folder, "data"),
  SKILL_RUNNER_AGENT_CONFIG_DIR: join(folder, "config"),
  NPM_CONFIG_PREFIX: join(folder, "prefix"),
  NPM_CONFIG_REGISTRY: registry.url,
  ...more,
});

interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
}

function run(script: string, args: string[], more: Record<string, string> = {}): Promise<Ran> {
  const child = spawn(script, args, { cwd: "/", env: environment(more), stdio: ["ignore", "pipe", "pipe"] });
  const ran: Ran = { code: null, stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const)
    child[stream].on("data", (chunk: Buffer) => {
      ran[stream] += chunk.toString();
    });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ ...ran, code }));
  });
}

const manager = (args: string[], more?: Record<string, string>) =>
  run(join(folder, "app/scripts/agent_manager.sh"), args, more);
const status = async () => JSON.parse(await readFile(join(folder, "data/agent_status.json"), "utf8"));
const tool = async (name: string, script: string) => {
  await mkdir(join(folder, "tools"), { recursive: true });
  await writeFile(join(folder, "tools", name), `#!/bin/sh\n${script}\n`);
  await chmod(join(folder, "tools", name), 0o755);
};

describe("agent_manager.sh", () => {
  test("looks, by default, and writes what there is of every CLI", async () => {
    await tool("codex", "printf 'codex-cli \"1.2.3\\033[0m\\n'");
    const { code, stdout } = await manager([]);
    expect(code).toBe(0);
    expect(stdout).toContain("codex: 1.2.3 in PATH");
    expect(stdout).toMatch(/gemini: not installed\. Install it with: scripts\/agent_manager\.sh/);
    const written = await status();
    expect(Object.keys(written)).toEqual(agents.map(({ id }) => id));
    expect(written.codex).toMatchObject({ present: true, version: "1.2.3", source: "path" });
    expect(written.gemini).toMatchObject({ present: false, version: "" });
  });

  test.each([
    [["--install"]],
    [["check"]],
    [["--check", "codex"]],
    [["--upgrade-engine"]],
    [["--upgrade-engine", "a", "b"]],
  ])("shows its usage for %j", async (args) => {
    expect(await manager(args)).toEqual({
      code: 1,
      stdout: "",
      stderr: expect.stringMatching(/^Usage: agent_manager\.sh/),
    });
    await expect(status()).rejects.toThrow(/ENOENT/);
  });

  test("--ensure installs what is missing; what cannot be had is a warning", async () => {
    await registry.publish(fakeCodex("0.169.0"));
    const wanted = { SKILL_RUNNER_BOOTSTRAP_ENGINES: "codex,gemini" };
    const first = await manager(["--ensure"], wanted);
    expect(first).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/WARNING: gemini was not installed: .*404/),
    });
    expect(await status()).toMatchObject({
      codex: {
        present: true,
        version: "0.169.0",
        source: "managed",
        last_install: { exit_code: 0, error: null },
      },
      gemini: {
        present: false,
        version: "",
        last_install: { exit_code: 1, error: expect.stringMatching(/404/) },
      },
    });
    const asked = registry.asked.length;
    await manager(["--ensure"], { SKILL_RUNNER_BOOTSTRAP_ENGINES: "codex" });
    await manager(["--ensure"], { SKILL_RUNNER_BOOTSTRAP_ENGINES: "none" });
    expect(registry.asked).toHaveLength(asked);
    // What went wrong the last time is still known.
    expect((await status()).gemini.last_install.exit_code).toBe(1);
  });

  test("several at once install what is missing once", async () => {
    await registry.publish(fakeCodex("0.169.0"));
    registry.hang = true;
    const wanted = { SKILL_RUNNER_BOOTSTRAP_ENGINES: "codex" };
    const three = [["--ensure"], ["--ensure"], ["--upgrade-engine", "codex"]].map((args) =>
      manager(args, wanted),
    );
    const tarballs = () => registry.asked.filter((path) => path.endsWith(".tgz"));
    await expect.poll(tarballs, { timeout: 20_000 }).toHaveLength(1);
    registry.release();
    for (const { code, stderr } of await Promise.all(three)) expect(code, stderr).toBe(0);
    expect(tarballs()).toHaveLength(1);
    expect(await readdir(join(folder, "prefix/lib/skill-runner/codex"))).toHaveLength(1);
  });

  test("--ensure mends a managed CLI that does not run any more", async () => {
    await registry.publish(fakeCodex("0.169.0"));
    const wanted = { SKILL_RUNNER_BOOTSTRAP_ENGINES: "codex" };
    await manager(["--ensure"], wanted);
    const command = join(folder, "prefix/bin/codex");
    await writeFile(command, "#!/usr/bin/env node\nthrow 1\n");
    expect((await manager([])).stdout).toMatch(/codex: unknown version .* did not answer/);
    await manager(["--ensure"], wanted);
    expect(await status()).toMatchObject({ codex: { version: "0.169.0", error: null } });
  });

  test("--upgrade-engine brings one to the wanted version, and says by its exit code when it could not", async () => {
    await registry.publish(fakeCodex("0.169.0"));
    expect((await manager(["--upgrade-engine", "codex"])).code).toBe(0);
    await registry.publish(fakeCodex("0.170.0"));
    await manager(["--upgrade-engine", "codex"], { SKILL_RUNNER_ENGINE_VERSIONS: "codex=latest" });
    expect((await status()).codex).toMatchObject({ version: "0.170.0" });
    const failed = await manager(["--upgrade-engine", "codex"], {
      SKILL_RUNNER_ENGINE_VERSIONS: "codex=9.9.9",
    });
    expect(failed).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("WARNING: codex was not installed"),
    });
    expect((await status()).codex).toMatchObject({ present: true, version: "0.170.0" });
    expect(await manager(["--upgrade-engine", "hal"])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('There is no engine "hal"'),
    });
  });

  test("a setting that cannot be used stops it", async () => {
    expect(await manager(["--check"], { SKILL_RUNNER_ENGINE_VERSIONS: "codex" })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('SKILL_RUNNER_ENGINE_VERSIONS: "codex" is not ENGINE=VERSION'),
    });
    expect(await manager(["--check"], { SKILL_RUNNER_BOOTSTRAP_ENGINES: "hal" })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('SKILL_RUNNER_BOOTSTRAP_ENGINES: there is no engine "hal"'),
    });
  });

  test("--bootstrap links and writes; no other mode touches HOME", async () => {
    await manager(["--check"]);
    await manager(["--ensure"], { SKILL_RUNNER_BOOTSTRAP_ENGINES: "none" });
    await expect(readlink(join(folder, "home/.codex"))).rejects.toThrow(/ENOENT/);
    const { code, stdout } = await manager(["--bootstrap"]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining("codex: .codex linked") });
    expect(await readlink(join(folder, "home/.codex"))).toBe(join(folder, "config/codex"));
    expect(await readFile(join(folder, "config/codex/config.toml"), "utf8")).toContain('= "file"');
    await rm(join(folder, "config/codex"), { recursive: true });
    await writeFile(join(folder, "config/codex"), "a file");
    const blocked = await manager(["--bootstrap"]);
    expect(blocked).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/WARNING: codex: \.codex failed \(/),
    });
  });

  test.each([
    ["0", "LANDLOCK_ENABLED=0\n", /LANDLOCK_ENABLED is 0/],
    ["1", "LANDLOCK_ENABLED=1\n", /codex works here/],
  ])("--landlock prints one line for the environment (set to %s)", async (setting, line, reason) => {
    await tool("codex", "echo codex-cli 1.2.3");
    expect(await manager(["--landlock"], { LANDLOCK_ENABLED: setting })).toEqual({
      code: 0,
      stdout: line,
      stderr: expect.stringMatching(reason),
    });
  });

  test("--landlock says 0 where the sandbox of the CLI does not work", async () => {
    await tool("codex", '[ "$1" = sandbox ] && exit 1; echo codex-cli 1.2.3');
    expect((await manager(["--landlock"])).stdout).toBe("LANDLOCK_ENABLED=0\n");
  });

  test("a data folder that cannot be written is told, and what there is all the same", async () => {
    await tool("codex", "echo codex-cli 1.2.3");
    await writeFile(join(folder, "file"), "");
    // Below /proc the system says ENOENT for a folder whose parent is there.
    for (const dataDir of [join(folder, "file/data"), "/proc/none/data"]) {
      const ran = await manager(["--check"], { SKILL_RUNNER_DATA_DIR: dataDir });
      expect(ran).toMatchObject({
        code: 1,
        stdout: expect.stringContaining("codex: 1.2.3 in PATH"),
        stderr: expect.stringContaining("WARNING: agent_status.json was not written"),
      });
    }
  });

  test("is found through a link, and in the checkout, which is built first", async () => {
    const link = join(folder, "agent-manager");
    await symlink(join(folder, "app/scripts/agent_manager.sh"), link);
    expect(await run(link, ["--help"])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("--ensure"),
    });
    const checkout = await run(join(root, "scripts/agent_manager.sh"), ["--help"]);
    expect(checkout).toMatchObject({ code: 0, stdout: expect.stringContaining("--ensure") });
  });
});

test("the server writes the status at its start too, and asks no CLI again that has not changed", async () => {
  const log = join(folder, "asked");
  const { PATH, HOME, NPM_CONFIG_PREFIX, SKILL_RUNNER_DATA_DIR } = environment();
  let kept: Awaited<ReturnType<typeof status>> | null = null;
  const startAndStop = async () => {
    const before = kept?.codex.checked_at;
    const server = await startBuiltServer({ PATH, HOME, NPM_CONFIG_PREFIX, SKILL_RUNNER_DATA_DIR });
    try {
      do {
        await sleep(50);
        kept = await status().catch(() => null);
      } while (kept === null || kept.codex.checked_at === before);
    } finally {
      await server.stop();
    }
    return (await readFile(log, "utf8")).trim().split("\n");
  };
  await tool("codex", `echo "$1" >> ${log}; echo codex-cli 1.2.3`);
  const first = await startAndStop();
  expect(first).toContain("--version");
  expect(kept).toMatchObject({ codex: { present: true, version: "1.2.3" }, gemini: { present: false } });
  expect(await startAndStop()).toEqual(first);
  await tool("codex", `echo "$1" >> ${log}; echo codex-cli 1.2.30`);
  expect(await startAndStop()).toHaveLength(2 * first.length);
  expect(kept).toMatchObject({ codex: { version: "1.2.30" } });
});

describe("upgrade_agents.sh", () => {
  const upgradeAll = (more?: Record<string, string>) =>
    run(join(folder, "app/scripts/upgrade_agents.sh"), [], more);

  test("in the container, upgrades there", async () => {
    await registry.publish(fakeCodex("0.169.0"));
    const { code, stdout } = await upgradeAll();
    expect({ code, end: stdout.split("\n").slice(-2) }).toEqual({ code: 0, end: ["Done", ""] });
    expect(await status()).toMatchObject({ codex: { version: "0.169.0" } });
  });

  test("without a compose file, upgrades there, whatever docker says", async () => {
    await registry.publish(fakeCodex("0.169.0"));
    const log = join(folder, "docker.log");
    await tool("docker", `echo "$@" >> ${log}`);
    expect(await upgradeAll()).toMatchObject({ code: 0, stdout: expect.stringMatching(/Done\n$/) });
    expect(await status()).toMatchObject({ codex: { version: "0.169.0" } });
    await expect(readFile(log)).rejects.toThrow(/ENOENT/);
  });

  test("with a compose file where docker compose does not work, upgrades there", async () => {
    await writeFile(join(folder, "app/docker-compose.yml"), "");
    await registry.publish(fakeCodex("0.169.0"));
    await tool("docker", "exit 1");
    expect(await upgradeAll()).toMatchObject({ code: 0 });
    expect(await status()).toMatchObject({ codex: { version: "0.169.0" } });
  });

  test.each(["docker-compose.yml", "compose.yaml"])("on a host, in the container of %s", async (name) => {
    await writeFile(join(folder, "app", name), "");
    const log = join(folder, "docker.log");
    await tool("docker", `[ "$2" = version ] || { pwd; for arg; do echo "$arg"; done; } > ${log}`);
    expect(await upgradeAll()).toMatchObject({ code: 0, stdout: "Done\n" });
    expect((await readFile(log, "utf8")).trim().split("\n")).toEqual([
      join(folder, "app"),
      ..."compose run --rm skill-runner sh -lc".split(" "),
      "/app/scripts/agent_manager.sh --upgrade",
    ]);
    expect(registry.asked).toEqual([]);
    await tool("docker", '[ "$2" = version ]');
    expect(await upgradeAll()).toMatchObject({ code: 1, stdout: "" });
  });
});
