import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { setImmediate as tick } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { newVersionFolder, pinned, useVersion } from "./store.ts";

let prefix: string;
beforeEach(async () => {
  prefix = await mkdtemp(join(tmpdir(), "store-"));
});
afterEach(() => rm(prefix, { recursive: true, force: true }));

const name = "@openai/codex";

/** What npm leaves in a prefix: a package, and a link to the file of its command. */
async function npmWouldMake(folder: string, version: string, file: string) {
  const path = join(folder, "lib/node_modules", name, file);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, version);
  await mkdir(join(folder, "bin"), { recursive: true });
  await symlink(join("../lib/node_modules", name, file), join(folder, "bin/codex"));
}

async function made(version: string, file: string) {
  const folder = await newVersionFolder(prefix, "codex", version);
  await npmWouldMake(folder, version, file);
  return folder;
}

const command = () => readFileSync(join(prefix, "bin/codex"), "utf8");

test("there is a whole command at every moment, also where npm itself had put it, and where its file has moved", async () => {
  await npmWouldMake(prefix, "0.0.0", "bin/codex.js");
  const seen = new Set<string>();
  let switching = true;
  const watching = (async () => {
    while (switching) {
      seen.add(command());
      await tick();
    }
  })();
  for (let round = 1; round <= 20; round++) {
    await useVersion(prefix, name, await made(`${round}.0.0`, round % 2 ? "cli.js" : "bin/codex.js"));
    expect(command()).toBe(`${round}.0.0`);
  }
  switching = false;
  await watching;
  expect(seen.size).toBeGreaterThan(5);
  expect(await readdir(join(prefix, "bin"))).toEqual(["codex"]);
  expect(await readdir(join(prefix, "lib/node_modules/@openai"))).toEqual(["codex"]);
});

test("the version before stays, pinned by its path; older and unfinished ones go", async () => {
  for (const version of ["1.0.0", "2.0.0"]) await useVersion(prefix, name, await made(version, "cli.js"));
  const second = await pinned(prefix, join(prefix, "bin/codex"));
  const unfinished = await made("3.0.0", "cli.js");
  await useVersion(prefix, name, await made("4.0.0", "cli.js"));
  expect(command()).toBe("4.0.0");
  expect(readFileSync(second, "utf8")).toBe("2.0.0");
  expect(
    (await readdir(join(prefix, "lib/skill-runner/codex"))).map((folder) => folder.slice(0, 5)).sort(),
  ).toEqual(["2.0.0", "4.0.0"]);
  expect(() => readFileSync(join(unfinished, "bin/codex"))).toThrow(/ENOENT/);
});

test("without a lock, what another process may be at work with stays, finished or not; what is old goes", async () => {
  await useVersion(prefix, name, await made("1.0.0", "cli.js"));
  const [old, theirs, finished] = [
    await made("2.0.0", "cli.js"),
    await newVersionFolder(prefix, "codex", "3.0.0", 60_000),
    await newVersionFolder(prefix, "codex", "4.0.0", 60_000),
  ];
  const longAgo = new Date(Date.now() - 61_000);
  await utimes(old, longAgo, longAgo);
  await writeFile(join(finished, ".complete"), "");
  const mine = await newVersionFolder(prefix, "codex", "5.0.0", 60_000);
  await npmWouldMake(mine, "5.0.0", "cli.js");
  await useVersion(prefix, name, mine, 60_000);
  expect(command()).toBe("5.0.0");
  const left = (await readdir(join(prefix, "lib/skill-runner/codex"))).sort();
  expect(left).toEqual([
    expect.stringMatching(/^1/),
    ...[theirs, finished, mine].map((path) => basename(path)),
  ]);
});

test("a command that is none of ours is its own path", async () => {
  await npmWouldMake(prefix, "0.0.0", "cli.js");
  const path = join(prefix, "bin/codex");
  expect(await pinned(prefix, path)).toBe(path);
  expect(await pinned(prefix, "/nowhere/codex")).toBe("/nowhere/codex");
});
