import { chmod, chown, cp, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { startIssuer, userCode } from "../codex-issuer.ts";
import { byPrompt, type ModelServer, startModelServer } from "../model-server/server.ts";
import { image, makeSite, root, type Site, type Started } from "./podman.ts";

/** The image as an operator uses it: built from the Dockerfile, run with the mounts of the compose file. */
let site: Site;
let model: ModelServer;

const haiku = { kind: "text", text: "An old silent pond" } as const;
const script = byPrompt([
  {
    match: "CASE-slow",
    steps: [{ kind: "tool", command: "sleep 20; echo done" }, haiku],
  },
  { match: "cut off", steps: [haiku] },
  { match: "$haiku", steps: [haiku] },
]);

beforeAll(async () => {
  site = await makeSite();
  model = await startModelServer(script);
  const build = ["bud", "--pull=never", "--isolation", "chroot", "--network", "host", "--format", "docker"];
  for (const [file, args] of [
    [join(root, "tests/container/base-images.sh"), []],
    ["buildah", [...build, "-t", image, root]],
  ] as const) {
    const { code, stdout, stderr } = await site.run(file, [...args]);
    expect(code, `${stdout}\n${stderr}`.slice(-5_000)).toBe(0);
  }
}, 600_000);
afterAll(async () => {
  await model?.close();
  await site?.remove();
}, 120_000);

const server = (options: Parameters<Site["start"]>[0] = {}) =>
  site.start({
    ...options,
    env: { OPENAI_API_KEY: "sk-test", OPENAI_BASE_URL: `${model.url}/v1`, ...options.env },
  });
const engine = async (at: Started, id: string) => {
  const { engines } = (await at.json("GET", "/v1/engines")).body;
  return engines.find((each: { engine: string }) => each.engine === id);
};
const send = async (at: Started, prompt: string): Promise<string> => {
  const job = {
    skill_id: "haiku",
    model: "gpt-5.5",
    input: { prompt },
    runtime_options: { no_cache: true },
  };
  const { status, body } = await at.json("POST", "/v1/jobs", job);
  expect(status, JSON.stringify(body)).toBe(200);
  return body.request_id;
};
const statusOf = async (at: Started, id: string) => (await at.json("GET", `/v1/jobs/${id}`)).body;
const until = (at: Started, id: string, status: string) =>
  expect
    .poll(
      async () => {
        const job = await statusOf(at, id);
        return job.error === null ? job.status : JSON.stringify(job.error);
      },
      { timeout: 60_000, interval: 100 },
    )
    .toBe(status);
const exitCode = async ({ name }: Started) =>
  (await site.podman("inspect", "--format", "{{.State.ExitCode}}", name)).stdout.trim();
const works = (at: Started, id: string) =>
  expect
    .poll(async () => JSON.stringify((await at.json("GET", `/v1/jobs/${id}/events/history`)).body), {
      timeout: 60_000,
      interval: 100,
    })
    .toContain("assistant.command_execution");

test("the image holds what agents' tools need, and no agent CLI", async () => {
  const programs = ["node", "npm", "python3", "git", "rg", "bwrap", "tini", "uv", "flock", "curl"];
  const { stdout, code } = await site.command(
    "sh",
    "-c",
    `for p in ${programs.join(" ")}; do command -v $p; done`,
  );
  expect(
    stdout
      .trim()
      .split("\n")
      .map((path) => path.split("/").at(-1)),
  ).toEqual(programs);
  expect(code).toBe(0);
  const versions = await site.command("sh", "-c", "node --version; python3 --version");
  expect(versions.stdout).toMatch(/^v24\.\d+\.\d+\nPython 3\.11\.\d+\n$/);
  const clis = await site.command(
    "sh",
    "-c",
    "for c in codex gemini iflow claude opencode qwen; do command -v $c; done; ls /app",
  );
  expect(clis.stdout.trim().split("\n").sort()).toEqual(["dist", "node_modules", "scripts", "skills"]);
});

test("a first start on empty volumes answers, and makes what agents need", async () => {
  // Who owns the mounted folder can copy logins into what is made there.
  await chown(join(site.folder, "agent_config"), 1000, 1000);
  const at = await server();
  console.log(`answered ${Math.round(at.answeredAfter)} ms after the container's start`);
  expect(await engine(at, "codex")).toMatchObject({ present: false });
  const config = join(site.folder, "agent_config");
  expect(JSON.parse(await readFile(join(config, "gemini/settings.json"), "utf8"))).toEqual({
    security: { auth: { selectedType: "oauth-personal" } },
  });
  expect(JSON.parse(await readFile(join(config, "iflow/settings.json"), "utf8"))).toEqual({
    selectedAuthType: "iflow",
  });
  expect((await stat(join(config, "codex"))).uid).toBe(1000);
  const status = () => readFile(join(site.folder, "data/agent_status.json"), "utf8").catch(() => "{}");
  await expect.poll(async () => JSON.parse(await status()).codex?.present, { timeout: 20_000 }).toBe(false);
  const links = await site.podman("exec", at.name, "sh", "-c", "readlink ~/.codex ~/.gemini ~/.iflow");
  expect(links.stdout).toBe("/opt/config/codex\n/opt/config/gemini\n/opt/config/iflow\n");
  expect(await at.logs()).toMatch(/LANDLOCK_ENABLED=[01]/);
  await site.podman("rm", "-f", "-t", "0", at.name);
});

test("a CLI is installed by hand, runs a job, and is upgraded while the server runs", async () => {
  const at = await server();
  const installed = await site.command("sh", "-lc", "npm install -g @openai/codex@0.98.0 --no-progress");
  expect(installed.code, installed.stderr).toBe(0);
  expect(await engine(at, "codex")).toMatchObject({ present: true, cli_version_detected: "0.98.0" });
  const id = await send(at, "a pond");
  await until(at, id, "succeeded");
  expect(await statusOf(at, id)).toMatchObject({ cli_version: "0.98.0" });
  const upgraded = await site.podman(
    "exec",
    at.name,
    "/app/scripts/agent_manager.sh",
    "--upgrade-engine",
    "codex",
  );
  expect(upgraded.code, upgraded.stderr).toBe(0);
  expect(await engine(at, "codex")).toMatchObject({ cli_version_detected: "0.169.0" });
  await until(at, await send(at, "a river"), "succeeded");
  await site.podman("rm", "-f", "-t", "0", at.name);
}, 300_000);

test("skills that change on the host, and logins that are copied there, are seen at once", async () => {
  const at = await server();
  await cp(join(site.folder, "skills/haiku"), join(site.folder, "skills/sonnet"), { recursive: true });
  const text = await readFile(join(site.folder, "skills/sonnet/SKILL.md"), "utf8");
  await writeFile(join(site.folder, "skills/sonnet/SKILL.md"), text.replace("name: haiku", "name: sonnet"));
  expect((await at.json("GET", "/v1/skills/sonnet")).body).toMatchObject({ id: "sonnet", runnable: true });
  expect(await engine(at, "gemini")).toMatchObject({ auth_ready: false });
  for (const name of ["oauth_creds.json", "google_accounts.json"])
    await writeFile(
      join(site.folder, "agent_config/gemini", name),
      '{"refresh_token": "r", "active": "a@example.com"}',
    );
  expect(await engine(at, "gemini")).toMatchObject({ auth_ready: true });
  await site.podman("rm", "-f", "-t", "0", at.name);
});

test("a login inside the container lies on the host, and counts at once", async () => {
  const issuer = await startIssuer();
  issuer.confirm();
  const at = await site.start({ env: { OPENAI_BASE_URL: `${model.url}/v1` } });
  expect(await engine(at, "codex")).toMatchObject({ auth_ready: false });
  const login = `codex login --device-auth --experimental_issuer ${issuer.url}`;
  const { code, stdout, stderr } = await site.podman("exec", at.name, "bash", "-lc", login);
  issuer.close();
  expect(code, stderr).toBe(0);
  expect(stdout + stderr).toContain(userCode);
  const auth = join(site.folder, "agent_config/codex/auth.json");
  expect(JSON.parse(await readFile(auth, "utf8"))).toMatchObject({ tokens: { refresh_token: "refresh" } });
  expect(await engine(at, "codex")).toMatchObject({ auth_ready: true });
  await rm(auth);
  await site.podman("rm", "-f", "-t", "0", at.name);
});

test("a stop is graceful, a kill is not, and neither loses a job; CLIs, settings and results stay", async () => {
  const first = await server();
  const done = await send(first, "a pond");
  await until(first, done, "succeeded");
  const cutOff = await send(first, "CASE-slow");
  const queued = await send(first, "a lake");
  await works(first, cutOff);
  await site.podman("stop", "-t", "10", first.name);
  expect(await exitCode(first)).toBe("0");

  const second = await server();
  expect(await engine(second, "codex")).toMatchObject({ present: true });
  expect((await second.json("GET", `/v1/jobs/${done}/result`)).status).toBe(200);
  await until(second, cutOff, "succeeded");
  await until(second, queued, "succeeded");
  const killed = await send(second, "CASE-slow");
  await works(second, killed);
  await site.podman("kill", "-s", "KILL", second.name);

  const third = await server();
  await until(third, killed, "succeeded");
  expect(await statusOf(third, killed)).toMatchObject({ current_attempt: 2, recovery_state: "requeued" });
  await site.podman("rm", "-f", "-t", "0", third.name);
}, 180_000);

test("the container's limits decide how many jobs run at once", async () => {
  const decision = async (...options: string[]) => {
    const at = await server({ options, env: { SKILL_RUNNER_CPU_FACTOR: "4" } });
    const { probe, decision } = (await at.json("GET", "/v1/system/capacity")).body;
    await site.podman("rm", "-f", "-t", "0", at.name);
    return { cores: probe.cpu.cores, memory: probe.memory.limit_bytes, ...decision };
  };
  const bySmallMemory = await decision("--memory", "1500m", "--cpus", "2");
  expect(bySmallMemory).toMatchObject({ cores: 2, memory: 1500 * 1024 ** 2, bounded_by: "memory" });
  // Its cores alone would allow eight.
  expect(bySmallMemory.max_concurrent).toBeLessThan(4);
  expect(await decision("--memory", "8g", "--cpus", "0.5")).toMatchObject({
    cores: 0.5,
    memory: 8 * 1024 ** 3,
    bounded_by: "cpu",
    max_concurrent: 2,
  });
});

test("any user may run it; one who cannot write is told what to do", async () => {
  const own = join(site.folder, "own");
  const mounts: string[] = [];
  for (const [name, place] of [
    ["config", "/opt/config"],
    ["cache", "/opt/cache"],
    ["data", "/data"],
  ] as const) {
    await mkdir(join(own, name), { recursive: true });
    await chown(join(own, name), 4321, 4321);
    mounts.push("-v", `${join(own, name)}:${place}`);
  }
  await chmod(site.folder, 0o755);
  const at = await server({ options: ["--user", "4321:4321"], mounts });
  expect(await readdir(join(own, "data/home"))).toEqual(
    expect.arrayContaining([".codex", ".gemini", ".iflow"]),
  );
  expect((await at.json("GET", "/v1/skills")).body).not.toEqual([]);
  const shell = await site.podman(
    "exec",
    "--user",
    "4321:4321",
    at.name,
    "bash",
    "-lc",
    "echo $HOME; npm prefix -g",
  );
  expect(shell.stdout).toBe("/data/home\n/opt/cache/npm\n");
  await site.podman("rm", "-f", "-t", "0", at.name);
  const stranger = await site.podman(
    "run",
    "--rm",
    "--network",
    "host",
    "--user",
    "1234",
    ...mounts,
    "-e",
    "SKILL_RUNNER_BOOTSTRAP_ENGINES=none",
    image,
  );
  expect(stranger.code).not.toBe(0);
  expect(stranger.stderr + stranger.stdout).toMatch(
    /WARNING: \/data cannot be written to by uid 1234.*user: in the compose file/,
  );
});

test("without a network CLIs cannot be installed, and the server runs all the same", async () => {
  const { code, stderr } = await site.podman(
    "run",
    "-d",
    "--name",
    "skill-runner-test-alone",
    "--network",
    "none",
    "-e",
    "SKILL_RUNNER_BOOTSTRAP_ENGINES=codex",
    "-e",
    "NPM_CONFIG_FETCH_RETRIES=0",
    image,
  );
  expect(code, stderr).toBe(0);
  const ask = async () =>
    (await site.podman("exec", "skill-runner-test-alone", "curl", "-fsS", "http://127.0.0.1:8000/readyz"))
      .stdout;
  await expect.poll(ask, { timeout: 20_000 }).toContain('"ready":true');
  const logs = async () => {
    const { stdout, stderr } = await site.podman("logs", "skill-runner-test-alone");
    return stdout + stderr;
  };
  await expect.poll(logs, { timeout: 60_000 }).toMatch(/WARNING: codex was not installed/);
  expect(await ask()).toContain('"ready":true');
  await site.podman("rm", "-f", "-t", "0", "skill-runner-test-alone");
}, 120_000);

test("a first start answers at once, and installs what it was asked for beside the running server", async () => {
  const cache = join(site.folder, "first-cache");
  await mkdir(cache);
  const at = await server({
    env: { SKILL_RUNNER_BOOTSTRAP_ENGINES: "codex" },
    mounts: ["-v", `${cache}:/opt/cache`],
  });
  console.log(`answered ${Math.round(at.answeredAfter)} ms after the container's start`);
  expect(await engine(at, "codex")).toMatchObject({ present: false });
  await expect
    .poll(() => engine(at, "codex"), { timeout: 120_000, interval: 500 })
    .toMatchObject({ present: true, cli_version_detected: "0.169.0" });
  await until(at, await send(at, "a pond"), "succeeded");
  expect(await at.logs()).toContain("codex: 0.169.0 is installed");
  await site.podman("rm", "-f", "-t", "0", at.name);
}, 180_000);

test("the compose file builds it, starts it, and runs commands in it", async () => {
  const project = join(site.folder, "project");
  await cp(root, project, {
    recursive: true,
    filter: (path) => !/\/(node_modules|dist|data|\.git)$/.test(path) && !path.includes("/.dist"),
  });
  await mkdir(join(project, "data"));
  await mkdir(join(project, "agent_config"), { recursive: true });
  const compose = (...args: string[]) =>
    site.run(
      "podman-compose",
      ["--podman-build-args=--isolation=chroot --network=host --pull=never", ...args],
      { cwd: project },
    );
  try {
    const up = await compose("up", "--build", "-d", "skill-runner");
    expect(up.code, up.stderr.slice(-3_000)).toBe(0);
    const health = async () => (await fetch("http://localhost:8000/healthz").catch(() => null))?.status;
    await expect.poll(health, { timeout: 30_000 }).toBe(200);
    const ran = await compose(
      "run",
      "--rm",
      "skill-runner",
      "sh",
      "-lc",
      "command -v npm && echo $NPM_CONFIG_PREFIX && id -u",
    );
    expect(ran.stdout.split(/\r?\n/)).toEqual(expect.arrayContaining(["/opt/cache/npm", "0"]));
    expect((await readdir(join(project, "agent_config"))).sort()).toEqual(
      expect.arrayContaining(["codex", "gemini", "iflow"]),
    );
    // On the host, as the guide has it; what stands for docker hands its compose to podman's.
    const bin = join(site.folder, "bin");
    await mkdir(bin);
    await writeFile(join(bin, "docker"), '#!/bin/sh\nshift\nexec podman-compose "$@"\n', { mode: 0o755 });
    const upgraded = await site.run(join(project, "scripts/upgrade_agents.sh"), [], {
      env: { PATH: `${bin}:${process.env.PATH}` },
    });
    expect(upgraded.code, upgraded.stdout + upgraded.stderr).toBe(0);
    expect(upgraded.stdout).toContain("Done");
    const answer = await fetch("http://localhost:8000/v1/engines");
    const { engines } = z
      .object({ engines: z.array(z.object({ engine: z.string(), present: z.boolean() })) })
      .parse(await answer.json());
    // Its vendor has taken iflow from npm.
    expect(engines.filter(({ present }) => !present)).toEqual([{ engine: "iflow", present: false }]);
  } finally {
    await compose("down");
    await site.run("podman", ["volume", "rm", "-f", "skill-runner_cache"]);
  }
}, 300_000);
