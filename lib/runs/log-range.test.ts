import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readLogRange } from "./log-range.ts";
import { runPaths, turnPaths } from "./paths.ts";
import { recordOf } from "./record.test-support.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "range-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test("a log that ends in the middle of a character gives it when the rest is there, or when no more will come", async () => {
  const run = recordOf("running");
  const paths = runPaths(folder, run.request_id);
  const { folder: turn, stdout } = turnPaths(paths, 1);
  await mkdir(turn, { recursive: true });
  await writeFile(stdout, Buffer.from("a€").subarray(0, 2));
  const read = (status: "running" | "failed", turns = 1) =>
    readLogRange(paths, { ...run, status }, turns, { stream: "stdout", from: 0, turn: 1 });
  expect(await read("running")).toMatchObject({ chunk: "a", byte_to: 1, bytes_total: 2 });
  expect(await read("failed")).toMatchObject({ chunk: "a\ufffd", byte_to: 2 });
  expect(await read("running", 2)).toMatchObject({ chunk: "a\ufffd", byte_to: 2 });
});
