import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { executable, packageZip, zipOf } from "../../tests/package-zip.ts";
import { extractZip } from "../archives/index.ts";
import { packageFiles, temporaryFolder } from "./fixtures.test-support.ts";
import { readSkillFolder } from "./read-folder.ts";
import { unpackSkillPackage } from "./unpack.ts";

const limits = { maxEntries: 100, maxEntryBytes: 100_000, maxTotalBytes: 1_000_000, maxRatio: 200 };

async function unpack(zip: Buffer) {
  const folder = await temporaryFolder();
  const target = join(folder, "not", "there", "yet");
  await writeFile(join(folder, "a.zip"), zip);
  const unpacked = unpackSkillPackage(join(folder, "a.zip"), target, (from, to) =>
    extractZip(from, to, limits, { keepExecutable: true }),
  );
  return { target, unpacked };
}

describe("a package", () => {
  test("is unpacked under its id, with its scripts and without git", async () => {
    const { target, unpacked } = await unpack(
      zipOf({
        "__MACOSX/demo/._SKILL.md": "litter",
        "demo/SKILL.md": "text",
        "demo/scripts/run.sh": executable("#!/bin/sh"),
        "demo/.gitignore": "kept",
        "demo/.git/config": "gone",
        "demo/.git/hooks/pre-commit": executable("gone"),
        "demo/deep/er/.git": "gitdir: gone",
        "demo/empty/": "",
      }),
    );
    const dir = join(target, "demo");
    expect(await unpacked).toEqual({ id: "demo", dir });
    expect(await readdir(target)).toEqual(["demo"]);
    expect((await readdir(dir, { recursive: true })).sort()).toEqual([
      ".gitignore",
      "SKILL.md",
      "deep",
      "deep/er",
      "empty",
      "scripts",
      "scripts/run.sh",
    ]);
    expect((await stat(join(dir, "scripts/run.sh"))).mode & 0o777).toBe(0o755);
    expect(await readFile(join(dir, "SKILL.md"), "utf8")).toBe("text");
  });

  test.each([
    ["nothing", {}, "has nothing"],
    ["nothing but litter", { "__MACOSX/x": "x" }, "has nothing"],
    ["two folders", { "a/SKILL.md": "x", "b/SKILL.md": "x" }, "has a/, b/ there"],
    ["an empty second folder", { "a/SKILL.md": "x", "b/": "" }, "has a/, b/ there"],
    ["a file beside the folder", { "a/SKILL.md": "x", "README.md": "x" }, "README.md, a/"],
    ["no folder", { "SKILL.md": "x" }, "has SKILL.md there"],
    ["a dot folder", { ".archive/SKILL.md": "x" }, "cannot be a skill's id"],
    ["a folder called .git", { ".git/SKILL.md": "x" }, "cannot be a skill's id"],
    ["a name no URL takes", { "a b/SKILL.md": "x" }, "cannot be a skill's id"],
  ])("with %s is refused", async (_name, files, reason) => {
    const { target, unpacked } = await unpack(zipOf(files));
    await expect(unpacked).rejects.toMatchObject({
      code: "ARCHIVE_INVALID",
      message: expect.stringContaining(reason),
    });
    expect(await readdir(target)).toEqual([]);
  });

  test.each([
    ["that leaves its folder", zipOf({ "demo/../../x": "x" }), "ARCHIVE_INVALID"],
    ["that is no zip", Buffer.from("hello"), "ARCHIVE_INVALID"],
    ["that is too large", packageZip("demo", { big: "x".repeat(200_000) }), "ARCHIVE_TOO_LARGE"],
  ])("%s is refused as the extractor says", async (_name, zip, code) => {
    const { target, unpacked } = await unpack(zip);
    await expect(unpacked).rejects.toMatchObject({ code });
    expect(await readdir(target)).toEqual([]);
  });

  test("that is there already stays as it is, and no path is told", async () => {
    const { target, unpacked: first } = await unpack(packageZip("demo", { "SKILL.md": "old" }));
    await first;
    await writeFile(join(target, "../new.zip"), packageZip("demo", { "SKILL.md": "new" }));
    const again = unpackSkillPackage(join(target, "../new.zip"), target, (from, to) =>
      extractZip(from, to, limits),
    );
    const error = await again.catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "STORAGE_FAILED" });
    expect(String(error)).not.toContain(target);
    expect(await readFile(join(target, "demo/SKILL.md"), "utf8")).toBe("old");
    expect(await readdir(target)).toEqual(["demo"]);
  });
});

describe("a folder outside of the registry", () => {
  const read = async (id: string, files: Readonly<Record<string, unknown>>) => {
    const { unpacked } = await unpack(packageZip(id, files));
    return readSkillFolder((await unpacked).dir, { engines: ["codex"] });
  };

  test("is read like one in it", async () => {
    expect(await read("demo", packageFiles("demo"))).toMatchObject({
      id: "demo",
      kind: "package",
      errors: [],
      manifest: { version: "1.0.0", effective_engines: ["codex"] },
      hash: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
  });

  test("has its mistakes listed", async () => {
    const { errors } = await read("other", packageFiles("demo"));
    expect(errors.map(({ pointer }) => pointer)).toEqual(["SKILL.md#/name", "assets/runner.json#/id"]);
  });

  test("without a skill in it is refused", async () => {
    await expect(read("demo", { "README.md": "hello" })).rejects.toMatchObject({
      code: "SKILL_INVALID",
      issues: [{ pointer: "SKILL.md" }],
    });
  });

  test("that is not there is a failure of the storage", async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, "there"));
    await expect(readSkillFolder(join(folder, "demo"), { engines: ["codex"] })).rejects.toMatchObject({
      code: "STORAGE_FAILED",
      message: expect.not.stringContaining(folder),
    });
  });
});
