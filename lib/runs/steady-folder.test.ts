import { chmod, mkdir, mkdtemp, realpath, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { entriesOf } from "./steady-folder.ts";

let folder: string;
beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "steady-")));
  await mkdir(join(folder, "work/deep/er"), { recursive: true });
  await mkdir(join(folder, "elsewhere/er/secret"), { recursive: true });
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test("gives folders, files with their sizes, and the names of what is neither", async () => {
  await writeFile(join(folder, "work/deep/file"), "four");
  await symlink(join(folder, "elsewhere"), join(folder, "work/deep/link"));
  const all = [
    { name: "er", isFolder: true, bytes: null },
    { name: "file", isFolder: false, bytes: 4 },
    { name: "link", isFolder: false, bytes: null },
  ];
  expect(await entriesOf(join(folder, "work/deep"), 10)).toEqual(all);
  expect(await entriesOf(join(folder, "work/deep"), 2)).toEqual(all.slice(0, 2));
});

test.runIf(process.platform === "linux")(
  "what a link leads to is not looked at, be it the last or one on the way",
  async () => {
    await rename(join(folder, "work/deep"), join(folder, "work/aside"));
    await symlink(join(folder, "elsewhere"), join(folder, "work/deep"));
    expect(await entriesOf(join(folder, "work/deep"), 10)).toBeNull();
    expect(await entriesOf(join(folder, "work/deep/er"), 10)).toBeNull();
  },
);

test("what is gone, or a file by now, or may not be read, is no folder", async () => {
  await writeFile(join(folder, "file"), "");
  for (const name of ["none", "file"]) expect(await entriesOf(join(folder, name), 10)).toBeNull();
  if (process.getuid?.() === 0) return;
  await chmod(join(folder, "work"), 0);
  expect(await entriesOf(join(folder, "work"), 10)).toBeNull();
  await chmod(join(folder, "work"), 0o700);
});
