import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { codex } from "../codex/index.ts";
import { machineIn, put } from "./jail.test-support.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "trial-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A machine on which this shell script is bubblewrap. */
function withBubblewrap(script: string, setting: "auto" | "required" = "auto") {
  chmodSync(put(join(folder, "bin/bwrap"), `#!/bin/sh\n${script}\n`), 0o755);
  const PATH = [join(folder, "bin"), process.env.PATH].join(delimiter);
  return machineIn(folder, { PATH }, { setting });
}

test.each([
  "Creating new namespace failed: Resource temporarily unavailable",
  "Creating new namespace failed: nesting depth or /proc/sys/user/max_*_namespaces exceeded (ENOSPC)",
  "Can't mkdir /newroot/run: No space left on device",
  "Can't fork for pid 1: Cannot allocate memory",
])("a shortage says nothing for good, and is asked again: %s", async (words) => {
  const short = `[ -e '${join(folder, "enough")}' ] || { echo "bwrap: ${words}" >&2; exit 1; }; exit 0`;
  const { jail, enclose } = withBubblewrap(short);
  expect(await jail.state()).toMatchObject({ works: false, final: false });
  expect(await enclose(codex, "true")).toMatchObject({
    jailed: false,
    lacking: expect.stringContaining(words),
    command: { executable: "/bin/sh" },
  });
  put(join(folder, "enough"));
  expect(await jail.state()).toMatchObject({ works: true });
  expect(await enclose(codex, "true")).toMatchObject({ jailed: true, lacking: null });
});

test("it is tried where runs are, in the data directory, and leaves nothing there", async () => {
  const { jail, at } = withBubblewrap(`echo "$@" > '${join(folder, "asked")}'`);
  expect(await jail.state()).toMatchObject({ works: true });
  expect(readFileSync(at("asked"), "utf8")).toMatch(new RegExp(`--chdir ${at("data")}/[^/]+/workspace `));
  expect(readdirSync(at("data"))).toEqual(["npm"]);
});

test("what does not work for good is not asked again", async () => {
  const { jail } = withBubblewrap(
    `echo x >> '${join(folder, "asked")}'; echo "bwrap: No permissions" >&2; exit 1`,
  );
  const state = { works: false, final: true, reason: expect.stringContaining("No permissions") };
  expect(await jail.state()).toMatchObject(state);
  rmSync(join(folder, "asked"));
  expect(await jail.state()).toMatchObject(state);
  expect(() => rmSync(join(folder, "asked"))).toThrow(/ENOENT/);
});

test("a folder that cannot be made is no answer for good", async () => {
  const { jail } = machineIn(folder, {}, { setting: "auto", serverFolders: [join(folder, "file/data")] });
  put(join(folder, "file"));
  expect(await jail.state()).toMatchObject({ works: false, final: false });
});

test("where it is required, nothing is started without", async () => {
  const { enclose } = withBubblewrap("exit 1", "required");
  await expect(enclose(codex, "true")).rejects.toMatchObject({ code: "SANDBOX_REQUIRED" });
});
