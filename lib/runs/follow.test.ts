import { appendFile, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createEventFeeds } from "./event-feed.ts";
import { follow } from "./follow.ts";
import { runPaths } from "./paths.ts";
import { recordOf } from "./record.test-support.ts";
import type { RunFolders } from "./run-folders.ts";
import type { RunStore } from "./run-store.ts";

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "follow-"));
  path = join(folder, "events.jsonl");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const lines = (from: number, to: number, by: string) =>
  Array.from({ length: to - from + 1 }, (_, n) => JSON.stringify({ seq: from + n, by, pad: by.repeat(5) }));
const logOf = (...parts: string[][]) =>
  parts
    .flat()
    .map((line) => `${line}\n`)
    .join("");

/** A run that several servers may carry out, followed at one of them. */
async function followed(after = 0) {
  const run = recordOf("running");
  const store: Partial<RunStore> = { isShared: true, get: async () => run };
  const here = async () => ({ ...runPaths(folder, run.request_id), events: path });
  const folders: Partial<RunFolders> = { here };
  const feeds = createEventFeeds();
  const follower = await follow(
    { store: store as RunStore, folders: folders as RunFolders, feeds },
    run.request_id,
    after,
    new AbortController().signal,
  );
  return {
    feeds,
    id: run.request_id,
    /** The log of another server takes the place of the one here. */
    async replace(text: string) {
      await writeFile(`${path}.new`, text);
      await rename(`${path}.new`, path);
    },
    /** The texts that come next; null: nothing; or the end. */
    async take() {
      const next = await follower.next(20);
      return Array.isArray(next) ? next.map(({ text }) => text) : next;
    },
    close: () => follower.close(),
  };
}

test("another server's log that tells the same goes on where the one here ended, whatever its bytes", async () => {
  await writeFile(path, logOf(lines(1, 5, "a")));
  const { take, replace, close } = await followed();
  expect(await take()).toEqual(lines(1, 5, "a"));
  await replace(logOf(["{}"], lines(2, 5, "a"), lines(6, 9, "b")));
  expect(await take()).toEqual(lines(6, 9, "b"));
  await appendFile(path, logOf(lines(10, 10, "b")));
  expect(await take()).toEqual(lines(10, 10, "b"));
  close();
});

test("another server's log that tells another story ends the stream, and nothing torn is sent", async () => {
  await writeFile(path, logOf(lines(1, 25, "a")));
  const { take, replace, close } = await followed();
  expect(await take()).toEqual(lines(1, 25, "a"));
  await replace(logOf(lines(1, 5, "a"), lines(6, 46, "longer")));
  expect(await take()).toBe("end");
  close();
});

test("a log that is behind what was told is waited for, until it shows whether it tells the same", async () => {
  await writeFile(path, logOf(lines(1, 8, "a")));
  const { take, replace, close } = await followed();
  expect(await take()).toEqual(lines(1, 8, "a"));
  await replace(logOf(lines(1, 5, "a")));
  expect(await take()).toBeNull();
  await appendFile(path, logOf(lines(6, 9, "a")));
  expect(await take()).toEqual(lines(9, 9, "a"));
  close();
});

test("what this server writes again, after another had the run, is told only where it goes on from what was told", async () => {
  await writeFile(path, logOf(lines(1, 8, "a")));
  const same = await followed();
  const other = await followed();
  for (const { take } of [same, other]) expect(await take()).toEqual(lines(1, 8, "a"));
  const text = logOf(lines(1, 8, "a"), lines(9, 9, "b"));
  await same.replace(text);
  const line = { seq: 9, text: lines(9, 9, "b")[0] ?? "", end: text.length, last: false };
  same.feeds.publish(same.id, [line], 1);
  expect(await same.take()).toEqual(lines(9, 9, "b"));
  await other.replace(logOf(lines(1, 5, "a"), lines(6, 9, "b")));
  other.feeds.publish(other.id, [line], 1);
  expect(await other.take()).toBe("end");
  for (const { close } of [same, other]) close();
});
