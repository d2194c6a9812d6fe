import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createModelCatalog } from "./catalog.ts";
import { codex } from "./codex/index.ts";
import { createEngines } from "./engines.ts";
import { createInstallationFinder, type RememberedProbe, rememberedProbe } from "./installation.ts";
import type { Enclosed, Jail, JailState } from "./jail/index.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "engines-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const prefix = () => join(folder, "npm");
const environment = (more: Record<string, string> = {}) => ({
  PATH: process.env.PATH,
  HOME: folder,
  ...more,
});

async function putCli(script: string, where = join(prefix(), "bin")) {
  await mkdir(where, { recursive: true });
  await rm(join(where, "codex"), { force: true });
  await writeFile(join(where, "codex"), `#!/bin/sh\n${script}\n`);
  await chmod(join(where, "codex"), 0o755);
}

const noRecords = {
  read: async () => null,
  write: async () => {},
  remove: async () => {},
  children: async () => [],
};

const off: JailState = { setting: "off", works: false, reason: "SKILL_RUNNER_SANDBOX is off.", final: true };
const bare = (command: Enclosed["command"]) => ({
  command,
  jailed: false,
  lacking: null,
  settle: () => undefined,
});
const noJail: Omit<Jail, "state"> = {
  around: async (_agent, _executable, _run, command) => bare(command),
  aroundQuestion: async (_agent, _folder, command) => bare(command),
};

function engines(env: Record<string, string> = {}, recall: RememberedProbe | null = null, jail = off) {
  const PATH = env.PATH ?? "/usr/bin:/bin";
  const finder = createInstallationFinder(prefix(), environment({ ...env, PATH }), {
    recall: async () => recall,
  });
  return createEngines({
    agents: [codex],
    finder,
    catalog: createModelCatalog({ finder, probe: async () => "none", records: noRecords }),
    sandbox: "workspace-write",
    jail: { ...noJail, state: async () => jail },
    landlockEnabled: null,
    versions: new Map(),
    lastInstall: async () => null,
    environment: environment(env),
  });
}
const status = async (at = engines()) => (await at.statuses())[0];
const says = (version: string, sandbox = "exit 0") =>
  `[ "$1" = --version ] && echo "codex-cli ${version}" && exit 0; ${sandbox}`;

describe("what is installed", () => {
  test("nothing: said with what to do", async () => {
    expect(await status()).toMatchObject({
      present: false,
      cli_version_detected: null,
      sandbox: null,
      auth_ready: false,
    });
    await expect(engines().installed("codex")).rejects.toMatchObject({
      code: "ENGINE_NOT_INSTALLED",
      message: expect.stringContaining("npm install -g @openai/codex@"),
    });
  });

  test("the managed prefix comes before PATH", async () => {
    await putCli(says("1.0.0"), join(folder, "other"));
    const at = engines({ PATH: `${join(folder, "other")}:/usr/bin:/bin` });
    expect(await status(at)).toMatchObject({ source: "path", cli_version_detected: "1.0.0" });
    await putCli(says("2.0.0"));
    expect(await status(at)).toMatchObject({ source: "managed", cli_version_detected: "2.0.0" });
  });

  test("a CLI that was replaced is asked again; one that was not is not", async () => {
    const at = engines();
    await putCli(`echo x >> ${folder}/asked; ${says("1.0.0")}`);
    await Promise.all([status(at), status(at)]);
    await status(at);
    // Once for its version, once for its help, once for its sandbox.
    expect((await readFile(join(folder, "asked"), "utf8")).trim().split("\n")).toHaveLength(3);
    await putCli(says("1.1.0-alpha.3"));
    expect(await status(at)).toMatchObject({ cli_version_detected: "1.1.0-alpha.3" });
  });

  test("two agents with one executable are asked for once each", async () => {
    await putCli(`echo "$@" >> ${folder}/asked; ${says("1.0.0")}`);
    const finder = createInstallationFinder(prefix(), environment());
    const other = { ...codex, id: "other", helpArgs: ["other", "--help"], sandboxProbes: [] };
    for (let round = 0; round < 3; round++) for (const agent of [codex, other]) await finder.find(agent);
    const asked = (await readFile(join(folder, "asked"), "utf8")).trim().split("\n");
    expect(asked.filter((line) => line === "--version")).toHaveLength(2);
    expect(asked).toHaveLength(5);
  });

  test("a CLI of ours is asked in an empty HOME, one in PATH in the real one; the sandbox of both there", async () => {
    const tells = `echo "$HOME" > ${folder}/seen-by-$1; touch "$HOME/left"; ${says("1.0.0")}`;
    const seen = async (by: string) => (await readFile(join(folder, `seen-by-${by}`), "utf8")).trim();
    await putCli(tells);
    await engines().installed("codex");
    expect(await seen("--version")).not.toBe(folder);
    expect(existsSync(await seen("--version"))).toBe(false);
    expect(await seen("sandbox")).toBe(folder);
    await rm(prefix(), { recursive: true });
    await putCli(tells, join(folder, "other"));
    await engines({ PATH: `${join(folder, "other")}:/usr/bin:/bin` }).installed("codex");
    expect(await seen("--version")).toBe(folder);
  });

  test("what was remembered of a CLI is believed while its file is the same one", async () => {
    await putCli(`echo "$1" >> ${folder}/asked; ${says("1.0.0")}`);
    const installation = await engines().installed("codex");
    const remembered = rememberedProbe(installation);
    expect(remembered).toMatchObject({ version: "1.0.0", sandbox: "works" });
    const asked = async () => (await readFile(join(folder, "asked"), "utf8")).trim().split("\n");
    expect(await asked()).toHaveLength(3);
    expect(await engines({}, remembered).installed("codex")).toEqual(installation);
    expect(await asked()).toHaveLength(3);
    // Another machine: of all it said, only the sandbox may differ.
    const elsewhere = remembered && { ...remembered, machine: "another", sandbox: "fails" as const };
    expect(await engines({}, elsewhere).installed("codex")).toEqual(installation);
    expect((await asked()).slice(3)).toEqual(["sandbox"]);
    await putCli(says("2.0.0"));
    expect(await engines({}, remembered).installed("codex")).toMatchObject({ version: "2.0.0" });
  });

  test("a CLI that will not say its version is asked again after a restart", async () => {
    await putCli("exit 7");
    expect(rememberedProbe(await engines().installed("codex"))).toBeNull();
  });

  test.each([
    ["\\033[32mcodex-cli\\033[0m 1.2.3\\r\\n", "1.2.3"],
    ["nightly \\033[1mbuild\\001\\n", "nightly build"],
    ["\\377\\376 1.0.0\\n", "1.0.0"],
    ["v%0400d\\n", expect.stringMatching(/^v0{199}$/)],
  ])("a version printed as %j is kept readable", async (printed, version) => {
    await putCli(`printf '${printed}'`);
    expect(await status()).toMatchObject({ present: true, cli_version_detected: version });
  });

  test.each([
    ["fails", "exit 7", /exit 7/],
    ["says nothing", "exit 0", /did not answer/],
    ["is killed", "kill -9 $$", /SIGKILL/],
  ])("a CLI that %s is present, with its error", async (_how, script, error) => {
    await putCli(script);
    expect(await status()).toMatchObject({
      present: true,
      cli_version_detected: null,
      error: expect.stringMatching(error),
    });
  });

  test("its sandbox is tried, not assumed", async () => {
    await putCli(says("1.0.0", "exit 0"));
    expect((await status())?.sandbox).toBe("on");
    await putCli(says("1.0.0", "exit 1"));
    expect((await status())?.sandbox).toBe("unavailable");
  });

  test("a key in the environment or a login file makes it ready", async () => {
    expect((await status(engines({ OPENAI_API_KEY: "k" })))?.auth_ready).toBe(true);
    await mkdir(join(folder, ".codex"));
    await writeFile(join(folder, ".codex/auth.json"), "{}");
    expect((await status())?.auth_ready).toBe(true);
    expect((await status(engines({ CODEX_HOME: join(folder, "elsewhere") })))?.auth_ready).toBe(false);
  });
});

describe("models", () => {
  test.each([
    ["0.169.0", null],
    ["0.170.2", null],
    ["0.20.0", "no_match"],
    ["unreadable", "no_semver_match"],
  ])("for version %s: fallback %s", async (version, fallback) => {
    await putCli(says(version));
    const models = await engines().models("codex");
    expect(models).toMatchObject({
      engine: "codex",
      snapshot_version_used: "0.169.0",
      fallback_reason: fallback,
    });
    expect(models.models[0]).toMatchObject({
      id: "gpt-6.1-sol",
      supported_effort: expect.arrayContaining(["high"]),
    });
  });

  test("without the CLI the newest snapshot is shown, and why", async () => {
    expect(await engines().models("codex")).toMatchObject({
      cli_version_detected: null,
      fallback_reason: "cli_version_unknown",
    });
    await expect(engines().models("nope")).rejects.toMatchObject({ code: "ENGINE_NOT_FOUND" });
  });
});
