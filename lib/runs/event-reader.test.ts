import { mkdtemp, readdir, readlink, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createEventReader } from "./event-reader.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "reader-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** How often this process has the file open. */
async function descriptorsOf(path: string): Promise<number> {
  const links = (await readdir("/proc/self/fd")).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ""));
  return (await Promise.all(links)).filter((target) => target === path).length;
}

test("reads whole lines in pieces, and a line that is longer than a piece", async () => {
  const path = join(folder, "events.jsonl");
  await writeFile(path, `{"a":1}\n{"b":"${"é".repeat(100)}"}\n{"torn`);
  const reader = createEventReader(path);
  expect(await reader.next(10)).toMatchObject([{ seq: 1, text: '{"a":1}', end: 8 }]);
  expect(await reader.next(10)).toMatchObject([{ seq: 2, text: `{"b":"${"é".repeat(100)}"}` }]);
  expect(await reader.next(10)).toEqual([]);
  await reader.close();
});

test.skipIf(process.platform !== "linux")(
  "closed while it opens the file, it leaves nothing open",
  async () => {
    const path = join(folder, "events.jsonl");
    await writeFile(path, "{}\n");
    const readers = Array.from({ length: 20 }, () => createEventReader(path));
    const reading = readers.map((reader) => reader.next(100));
    await Promise.all(readers.map((reader) => reader.close()));
    expect(await Promise.all(reading)).toEqual(readers.map(() => []));
    expect(await descriptorsOf(path)).toBe(0);
    expect(await readers[0]?.next(100)).toEqual([]);
  },
);
