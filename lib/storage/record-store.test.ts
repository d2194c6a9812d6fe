import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import memoryDriver from "unstorage/drivers/memory";
import { afterEach, describe, expect, test } from "vitest";
import { atomicFsDriver } from "./atomic-fs-driver.ts";
import { createRecordStore, openRecordStore, type RecordStore } from "./record-store.ts";

const folders: string[] = [];
const folder = async () => {
  const path = await mkdtemp(join(tmpdir(), "store-"));
  folders.push(path);
  return path;
};
afterEach(async () => {
  for (const path of folders.splice(0)) await rm(path, { recursive: true, force: true });
});

const drivers: [string, () => Promise<RecordStore>][] = [
  ["atomic-fs", async () => createRecordStore(atomicFsDriver({ base: join(await folder(), "state") }))],
  ["memory", async () => createRecordStore(memoryDriver())],
];

describe.each(drivers)("record store on %s", (_name, open) => {
  test("reads back what was written, and null for what was not", async () => {
    const store = await open();
    expect(await store.read("runs:a")).toBeNull();
    await store.write("runs:a", { n: 1, text: "é\n", nested: { list: [1, null] } });
    await store.write("runs:a", { n: 2 });
    expect(await store.read("runs:a")).toEqual({ n: 2 });
  });

  test("lists one level, ascending, folders and records alike", async () => {
    const store = await open();
    for (const key of ["runs:2026-01-02:b", "runs:2026-01-02:a", "runs:2026-01-01:c", "cache:x"]) {
      await store.write(key, { key });
    }
    expect(await store.children("runs")).toEqual(["2026-01-01", "2026-01-02"]);
    expect(await store.children("runs:2026-01-02")).toEqual(["a", "b"]);
    expect(await store.children("nothing")).toEqual([]);
  });

  test("removes one record, or all below a prefix", async () => {
    const store = await open();
    for (const key of ["r:1:a", "r:1:b", "r:2:c"]) await store.write(key, { key });
    await store.remove("r:1:a");
    await store.remove("r:1:never-was");
    expect(await store.children("r:1")).toEqual(["b"]);
    await store.clear("r:1");
    expect(await store.children("r")).toEqual(["2"]);
    expect(await store.read("r:2:c")).toEqual({ key: "r:2:c" });
  });
});

describe("crash safety of the fs driver", () => {
  test("a half-written temporary file is never listed nor read", async () => {
    const base = await folder();
    const store = createRecordStore(atomicFsDriver({ base }));
    await store.write("runs:a", { n: 1 });
    await writeFile(join(base, "runs", ".tmp-dead"), '{"n":');
    expect(await store.children("runs")).toEqual(["a"]);
    expect(await readdir(join(base, "runs"))).toEqual(["a"]);
  });

  test("what a crash left and nobody can remove keeps no record from being listed", async () => {
    const base = await folder();
    const store = createRecordStore(atomicFsDriver({ base }));
    await store.write("runs:a", { n: 1 });
    // unlink(2) refuses a folder as it refuses a file on a read-only disk.
    await mkdir(join(base, "runs", ".tmp-dead"));
    expect(await store.children("runs")).toEqual(["a"]);
  });

  test("readers see the old or the new record, never a torn one", async () => {
    const store = createRecordStore(atomicFsDriver({ base: await folder() }));
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
    const store = createRecordStore(atomicFsDriver({ base }));
    await store.write("runs:a", { n: 1 });
    await expect(store.write("runs:a:b", { n: 2 })).rejects.toMatchObject({ code: "STORAGE_FAILED" });
    expect(await store.read("runs:a")).toEqual({ n: 1 });
    expect(await readdir(join(base, "runs"))).toEqual(["a"]);
    expect(JSON.parse(await readFile(join(base, "runs", "a"), "utf8"))).toEqual({ n: 1 });
  });

  test.each(["..:x", "a:.hidden", "a:b/c"])("refuses the key %s", async (key) => {
    const driver = atomicFsDriver({ base: await folder() });
    expect(() => driver.getItem(key)).toThrow(/cannot be a file name/);
  });
});

test("an unknown storage URL is refused with the ones that work", () => {
  expect(() => openRecordStore("ftp:", "/nowhere")).toThrow(/"fs:"/);
});
