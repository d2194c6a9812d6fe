import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { codex } from "../codex/index.ts";
import type { Engines } from "../engines.ts";
import { createEngineManager } from "./manager.ts";
import type { CliEntry, LastInstall } from "./status-file.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "manager-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function setUp() {
  const written: Record<string, CliEntry>[] = [];
  const hooks = { onWrite: async () => {} };
  const engines: Pick<Engines, "ids" | "get" | "statuses"> = {
    ids: ["codex"],
    get: () => codex,
    statuses: async () => [
      {
        engine: "codex",
        title: codex.title,
        present: false,
        cli_version_detected: null,
        source: null,
        npm_package: codex.npmPackage,
        known_good_version: codex.knownGoodVersion,
        how_to_install: null,
        sandbox: null,
        sandbox_by: [],
        auth_ready: false,
        error: null,
      },
    ],
  };
  const manager = createEngineManager({
    engines,
    finder: { find: async () => null },
    statusFile: {
      recall: async (): Promise<{ last_install: LastInstall | null; probe: null }> => ({
        last_install: null,
        probe: null,
      }),
      write: async (entries) => {
        await hooks.onWrite();
        written.push(entries);
      },
    },
    versions: new Map(),
    bootstrap: "all",
    // No install can go well: a file stands where the prefix should be.
    npmPrefix: join(folder, "file/prefix"),
    environment: { HOME: folder },
    installTimeoutMs: 1_000,
    clean: (text) => text,
  });
  return { manager, written, hooks };
}

test("an install that ends while the status is being written is in the next one", async () => {
  await writeFile(join(folder, "file"), "");
  const { manager, written, hooks } = setUp();
  hooks.onWrite = async () => void (await manager.upgrade("codex"));
  await manager.check();
  hooks.onWrite = async () => {};
  await manager.check();
  await manager.check();
  // The third goes by the file, which remembers nothing here.
  expect(written.map(({ codex }) => codex?.last_install?.action)).toEqual([undefined, "install", undefined]);
});

test("the status tells why settings and logins cannot be kept", async () => {
  const { manager, written } = setUp();
  await manager.check();
  await writeFile(join(folder, ".codex"), "");
  await manager.check();
  await rm(join(folder, ".codex"));
  await mkdir(join(folder, ".codex"));
  await manager.check();
  expect(written.map(({ codex }) => codex?.config_error)).toEqual([
    null,
    "The folder ~/.codex cannot be written (not a folder).",
    null,
  ]);
});
