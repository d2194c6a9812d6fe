import { existsSync } from "node:fs";
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  symlink,
  truncate,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ArtifactField } from "../skills/index.ts";
import { collectArtifacts } from "./artifacts.ts";
import { type RunPaths, runPaths } from "./paths.ts";

const report: ArtifactField = { name: "report", kind: "artifact", role: "report", required: true };
const manifest: ArtifactField = { name: "all", kind: "artifact-manifest", role: null, required: true };

let folder: string;
/** A folder of the machine's, with a file in it that is none of the agent's business. */
let elsewhere: string;
let secret: string;
let paths: RunPaths;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "artifacts-"));
  elsewhere = join(folder, "elsewhere");
  secret = join(elsewhere, "settings.json");
  paths = runPaths(join(folder, "data"), "01K0000000000000000000000A");
  for (const path of [paths.artifacts, paths.temporary, elsewhere]) await mkdir(path, { recursive: true });
  await writeFile(secret, "theirs");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const inTemporary = async (name: string, content = "the agent's") => {
  await writeFile(join(paths.temporary, name), content);
  return join(paths.temporary, name);
};

test("a file in the run's temporary folder is copied to the artifacts, again with each turn", async () => {
  for (const content of ["first", "second"]) {
    const named = await inTemporary("report.md", content);
    expect(await collectArtifacts(paths, [report], { report: named })).toEqual({
      artifacts: [{ path: "artifacts/report.md", role: "report", bytes: content.length }],
      data: { report: "artifacts/report.md" },
      issues: [],
    });
    expect(await readFile(join(paths.artifacts, "report.md"), "utf8")).toBe(content);
  }
});

test("nothing is written, and no name told, through a link in place of the folder", async () => {
  await rm(paths.artifacts, { recursive: true });
  await symlink(elsewhere, paths.artifacts);
  const nothing = await collectArtifacts(paths, [], {});
  expect(nothing).toEqual({ artifacts: [], data: {}, issues: [] });
  await symlink(elsewhere, paths.artifacts);
  const named = await inTemporary("settings.json");
  const { data, issues } = await collectArtifacts(paths, [report], { report: named });
  expect([data, issues]).toEqual([{ report: "artifacts/settings.json" }, []]);
  expect(await readFile(secret, "utf8")).toBe("theirs");
  expect(await readdir(elsewhere)).toEqual(["settings.json"]);
  expect((await lstat(paths.artifacts)).isDirectory()).toBe(true);
});

test.each([
  ["a file", () => secret],
  ["nothing", () => join(elsewhere, "new")],
])("nothing is written through a link to %s with the file's name", async (_what, target) => {
  await symlink(target(), join(paths.artifacts, "out.js"));
  const named = await inTemporary("out.js");
  const { artifacts, issues } = await collectArtifacts(paths, [report], { report: named });
  expect([artifacts, issues]).toEqual([[{ path: "artifacts/out.js", role: "report", bytes: 11 }], []]);
  expect(await readFile(join(paths.artifacts, "out.js"), "utf8")).toBe("the agent's");
  expect((await lstat(join(paths.artifacts, "out.js"))).isFile()).toBe(true);
  expect(await readFile(secret, "utf8")).toBe("theirs");
  expect(existsSync(join(elsewhere, "new"))).toBe(false);
});

test("a folder of the agent's with the file's name stays, and is told of", async () => {
  await mkdir(join(paths.artifacts, "report.md"));
  await writeFile(join(paths.artifacts, "report.md", "part"), "x");
  const named = await inTemporary("report.md");
  const { artifacts, issues } = await collectArtifacts(paths, [report], { report: named });
  expect(artifacts.map(({ path }) => path)).toEqual(["artifacts/report.md/part"]);
  expect(issues).toEqual([
    {
      pointer: "/report",
      message: "report.md cannot be copied to artifacts/report.md; write it there and name that path",
    },
  ]);
});

test("a file elsewhere is not taken, by its name or by a link, and whether it is there is not told", async () => {
  const messages: string[] = [];
  const links = { workspace: join(paths.workspace, "link"), temporary: join(paths.temporary, "link") };
  for (const link of Object.values(links)) await symlink(elsewhere, link);
  for (const base of [elsewhere, ...Object.values(links)])
    for (const name of ["settings.json", "missing.json", "."]) {
      const named = join(base, name);
      const { artifacts, issues } = await collectArtifacts(paths, [report], { report: named });
      expect([named, artifacts]).toEqual([named, []]);
      messages.push(...issues.map(({ message }) => message.replace(named, "it")));
    }
  expect(messages).toHaveLength(9);
  expect(new Set(messages).size).toBe(1);
});

test("a manifest that is too large, or cannot be read, is told of and not read", async () => {
  const path = join(paths.artifacts, "all.json");
  const collect = () => collectArtifacts(paths, [manifest], { all: "artifacts/all.json" });
  await writeFile(path, '{"one": "artifacts/all.json"}');
  expect((await collect()).issues).toEqual([]);
  const told = [
    { pointer: "/all", message: "artifacts/all.json cannot be read, or is larger than 16777216 bytes" },
  ];
  await truncate(path, 16 * 1024 * 1024 + 1);
  expect((await collect()).issues).toEqual(told);
  if (process.getuid?.() === 0) return;
  await truncate(path, 2);
  await chmod(path, 0);
  expect((await collect()).issues).toEqual(told);
});

test("a manifest that names what is not there, or too much, gives no more issues than fit a prompt", async () => {
  const path = join(paths.artifacts, "all.json");
  const naming = async (count: number) => {
    const entries = Array.from({ length: count }, (_, n) => [n, `artifacts/${n}`]);
    await writeFile(path, JSON.stringify(Object.fromEntries(entries)));
    return (await collectArtifacts(paths, [manifest], { all: "artifacts/all.json" })).issues;
  };
  expect(await naming(100)).toHaveLength(50);
  expect(await naming(10_001)).toEqual([
    { pointer: "/all", message: "artifacts/all.json must not name more than 10000 files" },
  ]);
});
