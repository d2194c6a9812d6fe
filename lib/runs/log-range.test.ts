import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readLogRange } from "./log-range.ts";
import { type RunPaths, runPaths, turnPaths } from "./paths.ts";
import { recordOf } from "./record.test-support.ts";
import type { RunRecord } from "./record.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "range-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** A run whose first turn has printed this. */
async function printed(run: RunRecord, content: string | Buffer): Promise<RunPaths> {
  const paths = runPaths(folder, run.request_id);
  const { folder: turn, stdout } = turnPaths(paths, 1);
  await mkdir(turn, { recursive: true });
  await writeFile(stdout, content);
  return paths;
}

test("a log that ends in the middle of a character gives it when the rest is there, or when no more will come", async () => {
  const run = recordOf("running");
  const paths = await printed(run, Buffer.from("a€").subarray(0, 2));
  const read = (status: "running" | "failed", turns = 1) =>
    readLogRange(paths, { ...run, status }, turns, { stream: "stdout", from: 0, turn: 1 });
  expect(await read("running")).toMatchObject({ chunk: "a", byte_to: 1, bytes_total: 2 });
  expect(await read("failed")).toMatchObject({ chunk: "a\ufffd", byte_to: 2 });
  expect(await read("running", 2)).toMatchObject({ chunk: "a\ufffd", byte_to: 2 });
});

test("an attempt that has begun no turn, or never did, has no bytes of another one", async () => {
  const run = recordOf("running");
  const paths = await printed(run, "of the first turn");
  const read = (first_turns: number[], attempt: number) =>
    readLogRange(paths, { ...run, first_turns }, 1, { stream: "stdout", from: 0, attempt });
  expect(await read([1, 2], 1)).toMatchObject({ turn: 1, chunk: "of the first turn" });
  expect(await read([1, 2], 2)).toMatchObject({ turn: 2, bytes_total: 0, chunk: "" });
  expect(await read([1, 1], 1)).toMatchObject({ turn: 1, bytes_total: 0, chunk: "" });
  expect(await read([1, 1], 2)).toMatchObject({ turn: 1, chunk: "of the first turn" });
});

test("a range within one character gives what it can, so that whoever reads piece by piece gets on", async () => {
  const run = recordOf("succeeded");
  const paths = await printed(run, "a€b");
  const read = (from: number, to: number) =>
    readLogRange(paths, run, 1, { stream: "stdout", from, to, turn: 1 });
  expect(await read(1, 2)).toMatchObject({ byte_from: 1, byte_to: 2, chunk: "\ufffd" });
});
