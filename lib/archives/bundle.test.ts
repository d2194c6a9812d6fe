import { execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, readlink, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openPromise } from "yauzl";
import { type BundleFile, streamZip } from "./bundle.ts";
import { extractZip } from "./extract.ts";

const limits = { maxEntries: 1000, maxEntryBytes: 1e9, maxTotalBytes: 1e9, maxRatio: 2000 };
let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "bundle-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** Paths below the test's folder that this process has open; none where there is no /proc to ask. */
async function openFiles(): Promise<string[]> {
  const numbers = await readdir("/proc/self/fd").catch(() => []);
  const links = await Promise.all(numbers.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => "")));
  return links.filter((path) => path.startsWith(root));
}

async function write(files: readonly BundleFile[]): Promise<string> {
  const path = join(root, "out.zip");
  await writeFile(path, await buffer(streamZip(files)));
  return path;
}

async function listNames(path: string): Promise<string[]> {
  const names: string[] = [];
  for await (const entry of (await openPromise(path)).eachEntry()) names.push(entry.fileName);
  return names;
}

describe("content", () => {
  test("files and buffers, in the order given, read back by our own reader", async () => {
    await writeFile(join(root, "on-disk"), "from disk");
    await writeFile(join(root, "empty"), "");
    const path = await write([
      { path: "z/отчёт.txt", source: join(root, "on-disk") },
      { path: "a.json", source: Buffer.from("{}") },
      { path: "empty", source: join(root, "empty") },
      { path: "none", source: Buffer.alloc(0) },
    ]);
    expect(await listNames(path)).toEqual(["z/отчёт.txt", "a.json", "empty", "none"]);
    const target = join(root, "out");
    expect(await extractZip(path, target, limits)).toEqual(["a.json", "empty", "none", "z/отчёт.txt"]);
    expect(await readFile(join(target, "z/отчёт.txt"), "utf8")).toBe("from disk");
    expect(await readFile(join(target, "none"), "utf8")).toBe("");
    expect(await openFiles()).toEqual([]);
  });

  test("no files make an empty zip", async () => {
    expect(await listNames(await write([]))).toEqual([]);
  });

  test("the same files and times make the same bytes", async () => {
    const mtime = new Date("2026-01-02T03:04:06Z");
    await writeFile(join(root, "f"), "content");
    const files = [
      { path: "f", source: join(root, "f"), mtime },
      { path: "b", source: Buffer.from("b"), mtime },
    ];
    expect(await buffer(streamZip(files))).toEqual(await buffer(streamZip(files)));
  });

  test.skipIf(spawnSync("python3", ["--version"]).status !== 0)(
    "python's zipfile finds it sound",
    async () => {
      const path = await write(
        Array.from({ length: 300 }, (_, n) => ({ path: `d/${n}`, source: Buffer.from("x".repeat(n)) })),
      );
      const script =
        "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); print(z.testzip(), len(z.namelist()))";
      expect(execFileSync("python3", ["-c", script, path], { encoding: "utf8" })).toBe("None 300\n");
    },
  );
});

describe("failure", () => {
  test.each([
    ["is not there", async () => {}],
    ["is a link", (path: string) => symlink("/etc/hostname", path)],
    ["is a pipe", async (path: string) => void execFileSync("mkfifo", [path])],
  ])("a source that %s errors the stream", async (_name, make) => {
    await make(join(root, "source"));
    const files = [
      { path: "first", source: Buffer.from("x") },
      { path: "gone", source: join(root, "source") },
    ];
    const error: unknown = await buffer(streamZip(files)).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "STORAGE_FAILED", message: expect.stringContaining('"gone"') });
    expect(await openFiles()).toEqual([]);
  });

  test("a name that cannot be in a zip errors the stream", async () => {
    await expect(buffer(streamZip([{ path: "../up", source: Buffer.from("x") }]))).rejects.toThrow("up");
  });
});

describe("flow", () => {
  const big = 100 * 1024 * 1024;

  test.skipIf(process.platform !== "linux")(
    "nothing is opened before the first read, and cancelling closes everything",
    async () => {
      const source = join(root, "big");
      await writeFile(source, "");
      await truncate(source, big);
      const unread = streamZip([{ path: "big", source }]);
      expect(await openFiles()).toEqual([]);
      await unread.cancel();

      const reader = streamZip([{ path: "big", source }]).getReader();
      await reader.read();
      await reader.read();
      expect(await openFiles()).toEqual([source]);
      await reader.cancel();
      await expect.poll(openFiles).toEqual([]);
    },
  );

  test("100 MB stream through bounded memory, also to a slow reader", async () => {
    const source = join(root, "big");
    await writeFile(source, randomBytes(big));
    const before = process.memoryUsage();
    let bytes = 0;
    let peak = 0;
    for await (const chunk of streamZip([{ path: "big", source }])) {
      bytes += chunk.byteLength;
      if (bytes % (8 * 1024 * 1024) < chunk.byteLength)
        await new Promise((resolve) => setTimeout(resolve, 20));
      peak = Math.max(peak, process.memoryUsage().arrayBuffers);
    }
    expect(bytes).toBeGreaterThan(big);
    expect(peak - before.arrayBuffers).toBeLessThan(48 * 1024 * 1024);
  });

  test("a file that shrinks or grows while it is read still gives a sound zip", async () => {
    const source = join(root, "log");
    await writeFile(source, Buffer.alloc(8 * 1024 * 1024, "a"));
    const reader = streamZip([{ path: "log", source }]).getReader();
    const chunks: Uint8Array[] = [];
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      if (chunks.length === 1) await truncate(source, 1024 * 1024);
      chunks.push(next.value);
    }
    await writeFile(join(root, "out.zip"), Buffer.concat(chunks));
    expect(await extractZip(join(root, "out.zip"), join(root, "out"), limits)).toEqual(["log"]);
  });
});
