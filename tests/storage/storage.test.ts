import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { describeConformance } from "../../lib/storage/conformance.test-support.ts";
import { openStorage, parseStorageUrl } from "../../lib/storage/index.ts";
import { backends } from "./backends.ts";
import type { StorageServer } from "./servers.ts";

describe.each(backends)("%s", (name, launch) => {
  let server: StorageServer;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "storage-"));
    server = await launch();
  }, 120_000);
  afterAll(async () => {
    await server.remove();
    await rm(folder, { recursive: true, force: true });
  });
  const open = () => openStorage(parseStorageUrl(server.url), folder);

  describeConformance(name, { open: async () => (await open()).records, isShared: true });

  test("a writer that is killed at any moment leaves both records of a change, or neither", async () => {
    const { records } = await open();
    let told = 0;
    for (let round = 0; round < 8; round++) {
      const writer = spawn(
        process.execPath,
        ["--import", "tsx", join(import.meta.dirname, "pair-writer.ts"), server.url, folder],
        { stdio: ["ignore", "pipe", "inherit"] },
      );
      const lines = createInterface(writer.stdout);
      lines.on("line", (line) => {
        told = Number(line);
      });
      await once(lines, "line");
      await sleep(Math.random() * 60);
      const ended = once(writer, "exit");
      writer.kill("SIGKILL");
      await ended;
      const pair = [await records.read("pair:a"), await records.read("pair:b")];
      expect(pair[1]).toEqual(pair[0]);
      const { n } = pair[0] as { n: number };
      // What was told is there; at most the one that was under way is there, too.
      expect(n - told).toBeGreaterThanOrEqual(0);
      expect(n - told).toBeLessThanOrEqual(1);
    }
    await records.close();
  });

  test("a server that is gone is told of in some seconds, and used again when it is back, with all it had", async () => {
    const { records } = await open();
    await records.write("kept:a", { n: 1 });
    await server.kill();
    const began = Date.now();
    await expect(records.write("kept:a", { n: 2 })).rejects.toMatchObject({ code: "STORAGE_FAILED" });
    await expect(records.read("kept:a")).rejects.toMatchObject({ code: "STORAGE_FAILED" });
    expect(Date.now() - began).toBeLessThan(20_000);
    await server.start();
    await expect
      .poll(() => records.read("kept:a").catch(() => "gone"), { timeout: 20_000 })
      .toEqual({ n: 1 });
    await records.write("kept:a", { n: 3 });
    expect(await records.read("kept:a")).toEqual({ n: 3 });
    await records.close();
  });

  test("a server that is not there is told of at the start, without a password", async () => {
    const nowhere = server.url.replace(/127\.0\.0\.1:\d+/, "127.0.0.1:1").replace("runner@", "");
    const url = name === "s3" ? nowhere : nowhere.replace("127.0.0.1", "user:hidden@127.0.0.1");
    const failure = openStorage(parseStorageUrl(url), folder);
    await expect(failure).rejects.toThrow(/^The storage .* cannot be used: .*ECONNREFUSED/);
    await expect(failure).rejects.not.toThrow(/hidden/);
  });
});
