import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { codex } from "../codex/index.ts";
import { bootstrapConfig } from "./bootstrap.ts";
import { configFolderError } from "./config-folders.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "bootstrap-"));
  await mkdir(join(folder, "home"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const other = {
  ...codex,
  id: "other",
  homes: [{ config: "other", home: ".local/share/other" }],
  bootstrapFiles: { "other/settings.json": '{"a":1}' },
};
const run = () =>
  bootstrapConfig({ agents: [codex, other], configRoot: join(folder, "config"), home: join(folder, "home") });
const states = async () => (await run()).map(({ engine, item, state }) => `${engine} ${item} ${state}`);
const home = (path: string) => join(folder, "home", path);
const config = (path: string) => join(folder, "config", path);

test("a new container: folders are linked, files are written, and a second time nothing changes", async () => {
  expect(await states()).toEqual([
    "codex .codex linked",
    "codex codex/config.toml written",
    "other .local/share/other linked",
    "other other/settings.json written",
  ]);
  expect(await readlink(home(".codex"))).toBe(config("codex"));
  expect(await readFile(home(".codex/config.toml"), "utf8")).toBe('cli_auth_credentials_store = "file"\n');
  expect(await readFile(home(".local/share/other/settings.json"), "utf8")).toBe('{"a":1}');
  await writeFile(config("codex/config.toml"), "mine");
  expect(await states()).toEqual([
    "codex .codex unchanged",
    "codex codex/config.toml kept",
    "other .local/share/other unchanged",
    "other other/settings.json kept",
  ]);
  expect(await readFile(config("codex/config.toml"), "utf8")).toBe("mine");
  expect(await readdir(home("."))).toEqual([".codex", ".local"]);
});

test("a config root that cannot be made is a step that failed", async () => {
  const options = { agents: [codex], configRoot: "/proc/none/config", home: join(folder, "home") };
  expect((await bootstrapConfig(options)).map(({ state }) => state)).toEqual(["failed", "failed"]);
});

describe("what is in HOME already", () => {
  test("a link elsewhere, also to nowhere, is set anew", async () => {
    await symlink("/nowhere", home(".codex"));
    expect(await states()).toContain("codex .codex linked");
    expect(await readlink(home(".codex"))).toBe(config("codex"));
  });

  test("an empty folder becomes the link", async () => {
    await mkdir(home(".codex"));
    expect(await states()).toContain("codex .codex linked");
    expect(await readdir(home("."))).toEqual([".codex", ".local"]);
  });

  test("a folder with files is copied in where nothing is yet, and kept", async () => {
    await mkdir(home(".codex/sessions"), { recursive: true });
    await writeFile(home(".codex/auth.json"), "old login");
    await writeFile(home(".codex/sessions/1"), "s");
    await writeFile(home(".codex/config.toml"), "old");
    await mkdir(config("codex"), { recursive: true });
    await writeFile(config("codex/config.toml"), "mounted");
    const [step] = await run();
    expect(step).toMatchObject({ state: "moved_in", note: expect.stringContaining(".codex.before-") });
    expect((await lstat(home(".codex"))).isSymbolicLink()).toBe(true);
    expect(await readFile(home(".codex/auth.json"), "utf8")).toBe("old login");
    expect(await readFile(home(".codex/sessions/1"), "utf8")).toBe("s");
    expect(await readFile(home(".codex/config.toml"), "utf8")).toBe("mounted");
    const kept = (await readdir(home("."))).find((name) => name.startsWith(".codex.before-"));
    expect(await readFile(home(`${kept}/config.toml`), "utf8")).toBe("old");
  });

  test("a file in the way is left alone, with the reason", async () => {
    await writeFile(home(".codex"), "x");
    const [step, ...others] = await run();
    expect(step).toMatchObject({ state: "failed", note: expect.stringContaining("move it away") });
    expect(others.map(({ state }) => state)).toEqual(["written", "linked", "written"]);
    expect(await readFile(home(".codex"), "utf8")).toBe("x");
  });
});

test("a config root that cannot be written fails step by step, and HOME stays as it is", async () => {
  await mkdir(home(".codex"));
  await writeFile(home(".codex/auth.json"), "login");
  await writeFile(join(folder, "config"), "a file");
  const steps = await run();
  expect(steps.map(({ state }) => state)).toEqual(["failed", "failed", "failed", "failed"]);
  expect(steps[0]?.note).toMatch(/stands where a folder should be \((EEXIST|ENOTDIR)\)/);
  expect(await readFile(home(".codex/auth.json"), "utf8")).toBe("login");
});

test("an agent whose settings cannot be kept is known by it", async () => {
  const error = (more = {}) => configFolderError(codex, { HOME: home("."), ...more });
  expect(await error()).toBeNull();
  await symlink("/nowhere/at-all", home(".codex"));
  expect(await error()).toBe("The folder ~/.codex cannot be written (a link to nowhere).");
  expect(await error({ CODEX_HOME: join(folder, "config") })).toBeNull();
  await writeFile(join(folder, "config"), "");
  expect(await error({ CODEX_HOME: join(folder, "config") })).toMatch(/not a folder/);
  await rm(home(".codex"));
  await symlink("/proc/1", home(".codex"));
  expect(await error()).toMatch(/^The folder ~\/\.codex cannot be written/);
});
