import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createLogTails } from "./log-tails.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tails-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const lines = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, n) => ({ seq: from + n, text: `line ${from + n}` }));

test("lines behind a hole in what another server told are left to the next copy of the log", async () => {
  const path = join(folder, "runs/events.jsonl");
  const stream = [...lines(1, 10), ...lines(21, 30)];
  const addTail = createLogTails({ after: async (_id, seq) => stream.filter((line) => line.seq > seq) });
  const texts = async () => (await readFile(path, "utf8")).trim().split("\n");
  const whole = lines(1, 10).map(({ text }) => text);
  await addTail("id", path, () => false);
  expect(await texts()).toEqual(whole);
  stream.push(...lines(31, 33));
  await addTail("id", path, () => false);
  expect(await texts()).toEqual(whole);
});
