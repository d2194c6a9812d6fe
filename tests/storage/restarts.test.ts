import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { backends } from "./backends.ts";
import type { StorageServer } from "./servers.ts";

describe.each(backends)("writers on %s", (_name, launch) => {
  let server: StorageServer;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "restarts-"));
    server = await launch();
  }, 120_000);
  afterAll(async () => {
    await server.remove();
    await rm(folder, { recursive: true, force: true });
  });

  test("live through a storage that is killed, or stopped in order, while they write, and write again when it is back", async () => {
    const program = join(import.meta.dirname, "many-writers.ts");
    const writers = spawn(process.execPath, ["--import", "tsx", program, server.url, folder], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    let last = "";
    let ended = false;
    const end = once(writers, "exit").then(([code]) => {
      ended = true;
      return code;
    });
    createInterface(writers.stdout).on("line", (line) => {
      last = line;
    });
    const says = (words: RegExp) =>
      expect.poll(() => (ended ? "ended" : last), { timeout: 40_000, interval: 20 }).toMatch(words);
    await says(/^writing/);
    for (const stop of ["kill", "stop", "kill", "stop"] as const) {
      await server[stop]();
      await says(/^refused/);
      await server.start();
      await says(/^writing/);
    }
    writers.stdin.end();
    expect(await end).toBe(0);
  });
});
