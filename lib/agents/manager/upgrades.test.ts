import { expect, test } from "vitest";
import { codex } from "../codex/index.ts";
import type { Records } from "../records.ts";
import { createUpgrades } from "./upgrades.ts";

const id = "01M87D3N6KNG3HM94SJ6SX2PEQ";

/** Upgrades of one engine, on a disk that can be full. */
function setUp() {
  const kept = new Map<string, string>();
  const disk = { isFull: false };
  const records: Records = {
    read: async (key) => JSON.parse(kept.get(key) ?? "null"),
    write: async (key, value) => {
      if (disk.isFull) throw new Error("ENOSPC");
      kept.set(key, JSON.stringify(value));
    },
    remove: async (key) => void kept.delete(key),
    children: async () => [],
  };
  const errors: unknown[] = [];
  const options = {
    engines: { get: () => codex },
    manager: {
      check: async () => [],
      installable: () => ["codex"],
      whyNotInstallable: () => null,
      upgrade: async (engine: string) => {
        disk.isFull = true;
        return {
          engine,
          status: "succeeded" as const,
          action: "install" as const,
          from_version: null,
          to_version: "1.0.0",
          exit_code: 0,
          error: null,
        };
      },
    },
    records,
    newId: () => id,
    clean: (text: string) => text,
    onError: (error: unknown) => errors.push(error),
  };
  return { open: () => createUpgrades(options), disk, errors };
}

test("an upgrade whose end cannot be written is told as it ended, and written as soon as that can be done", async () => {
  const { open, disk, errors } = setUp();
  const upgrades = open();
  await upgrades.request({ mode: "single", engine: "codex" });
  await expect.poll(() => errors.length).toBe(2);
  const told = { status: "succeeded", results: { codex: { status: "succeeded", to_version: "1.0.0" } } };
  await expect.poll(() => upgrades.get(id)).toMatchObject(told);
  // Nothing of it has reached the disk.
  expect(await open().get(id)).toMatchObject({ status: "failed" });
  disk.isFull = false;
  expect(await upgrades.get(id)).toMatchObject(told);
  expect(await open().get(id)).toMatchObject(told);
});

test("it is written at the end of the server, too", async () => {
  const { open, disk, errors } = setUp();
  const upgrades = open();
  await upgrades.request({ mode: "single", engine: "codex" });
  await expect.poll(() => errors.length).toBe(2);
  disk.isFull = false;
  await upgrades.stop();
  expect(await open().get(id)).toMatchObject({ status: "succeeded" });
});
