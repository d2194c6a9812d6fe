import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { describeConformance } from "./conformance.test-support.ts";
import { fsDriver } from "./drivers/fs.ts";
import { memoryDriver } from "./drivers/memory.ts";
import { openStorage } from "./open-storage.ts";
import { createRecordStore } from "./record-store.ts";

const folders: string[] = [];
const folder = async () => {
  const path = await mkdtemp(join(tmpdir(), "store-"));
  folders.push(path);
  return path;
};
afterAll(async () => {
  for (const path of folders.splice(0)) await rm(path, { recursive: true, force: true });
});

describeConformance("memory:", { open: async () => createRecordStore(memoryDriver()), isShared: false });
describeConformance("fs:", {
  open: async () => createRecordStore(fsDriver({ base: join(await folder(), "state") })),
  isShared: false,
});
const sqlite = folder();
const hasSqlite = process.getBuiltinModule("node:sqlite") !== undefined;
if (hasSqlite) {
  describeConformance("sqlite:", {
    open: async () => (await openStorage({ kind: "sqlite", path: null }, await sqlite)).records,
    isShared: true,
  });
} else {
  test("sqlite: is refused on a Node that has no SQLite, with what to do", async () => {
    await expect(openStorage({ kind: "sqlite", path: null }, await sqlite)).rejects.toThrow(
      /Node 22\.13 or newer/,
    );
  });
}

describe("crash safety of the fs driver", () => {
  test("a half-written temporary file is never listed nor read", async () => {
    const base = await folder();
    const store = createRecordStore(fsDriver({ base }));
    await store.write("runs:a", { n: 1 });
    await writeFile(join(base, "runs", ".tmp-dead"), '{"n":');
    expect(await store.children("runs")).toEqual(["a"]);
    expect(await readdir(join(base, "runs"))).toEqual(["a"]);
  });

  test("what a crash left and nobody can remove keeps no record from being listed", async () => {
    const base = await folder();
    const store = createRecordStore(fsDriver({ base }));
    await store.write("runs:a", { n: 1 });
    // unlink(2) refuses a folder as it refuses a file on a read-only disk.
    await mkdir(join(base, "runs", ".tmp-dead"));
    expect(await store.children("runs")).toEqual(["a"]);
  });

  test("a change that a crash kept from being made is made at the next start, and not once more after that", async () => {
    const base = await folder();
    await mkdir(join(base, ".changes"), { recursive: true });
    const changes = [
      { key: "a:x", to: '{"n":2}' },
      { key: "b:y", to: null },
    ];
    await writeFile(join(base, ".changes", "left"), JSON.stringify(changes));
    await writeFile(join(base, ".changes", ".tmp-torn"), '[{"key":"a:x"');
    const open = () => openStorage({ kind: "fs", folder: base }, "/nowhere");
    await createRecordStore(fsDriver({ base })).write("b:y", { n: 1 });
    const { records } = await open();
    expect(await records.read("a:x")).toEqual({ n: 2 });
    expect(await records.read("b:y")).toBeNull();
    await records.write("a:x", { n: 3 });
    expect(await (await open()).records.read("a:x")).toEqual({ n: 3 });
    expect(await readdir(join(base, ".changes"))).toEqual([]);
  });

  test("readers see the old or the new record, never a torn one", async () => {
    const store = createRecordStore(fsDriver({ base: await folder() }));
    const big = (n: number) => ({ n, text: String(n % 10).repeat(200_000) });
    await store.write("r", big(0));
    let writing = true;
    const writer = (async () => {
      for (let n = 1; n <= 40; n++) await store.write("r", big(n));
      writing = false;
    })();
    while (writing) {
      const seen = await store.read("r");
      expect(seen).toMatchObject({ text: expect.stringMatching(/^(\d)\1{199999}$/) });
    }
    await writer;
  });

  test("a failed write leaves the old record and no litter", async () => {
    const base = await folder();
    const store = createRecordStore(fsDriver({ base }));
    await store.write("runs:a", { n: 1 });
    await expect(store.write("runs:a:b", { n: 2 })).rejects.toMatchObject({ code: "STORAGE_FAILED" });
    expect(await store.read("runs:a")).toEqual({ n: 1 });
    expect(await readdir(join(base, "runs"))).toEqual(["a"]);
    expect(JSON.parse(await readFile(join(base, "runs", "a"), "utf8"))).toEqual({ n: 1 });
  });

  test.each(["..:x", "a:.hidden", "a:b/c"])("reads nothing by the key %s", async (key) => {
    const driver = fsDriver({ base: await folder() });
    await expect(driver.getItemRaw(key)).rejects.toThrow(/cannot be a file name/);
  });
});
