import { execFileSync } from "node:child_process";
import { chmod, chown, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { foreignFolders } from "./foreign-folders.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "foreign-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test("a data directory of one's own, or a new one, has none", async () => {
  expect(await foreignFolders(join(folder, "none"))).toEqual([]);
  await mkdir(join(folder, "state"));
  expect(await foreignFolders(folder)).toEqual([]);
});

test.runIf(process.getuid?.() === 0)("what root made before is told to another user", async () => {
  await mkdir(join(folder, "state"));
  await chown(folder, 65_534, 65_534);
  await chmod(folder, 0o755);
  const program = `
    import { foreignFolders } from ${JSON.stringify(join(import.meta.dirname, "foreign-folders.ts"))};
    process.setuid(65534);
    console.log(JSON.stringify(await foreignFolders(${JSON.stringify(folder)})));`;
  const args = ["--import", "tsx", "--input-type=module", "-e", program];
  expect(JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" }))).toEqual([
    join(folder, "state"),
  ]);
});
