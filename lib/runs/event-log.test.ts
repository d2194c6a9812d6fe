import { appendFile, mkdtemp, open, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openEventLog } from "./event-log.ts";
import { readEvents } from "./read-events.ts";

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "events-"));
  path = join(folder, "run", "events.jsonl");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** The class of file handles, which node:fs/promises does not export. */
const handle = await open("/dev/null");
const FileHandlePrototype = Object.getPrototypeOf(handle);
await handle.close();

const run = { runId: "R", engine: "codex" };
const meta = { attempt: 1, turn: 1 };
const said = (n: number) => ({
  type: "diagnostic.warning" as const,
  data: { code: `${n}`, message: "" },
});

test("numbers events from 1 without a gap, in the order they were told, also over reopening", async () => {
  const first = await openEventLog(path, run);
  for (let n = 1; n <= 500; n++) first.append(said(n), meta);
  await first.close();
  const second = await openEventLog(path, run);
  expect(second.append(said(501), meta)).toBe(501);
  await second.close();
  const events = (await readEvents(path, {})).events;
  expect(events.map((event) => event.seq)).toEqual(Array.from({ length: 501 }, (_, n) => n + 1));
  expect(events.at(-1)).toMatchObject({
    protocol_version: "fcmp/1.0",
    run_id: "R",
    data: { code: "501" },
    meta,
  });
});

test("what was flushed is on disk while the log is still open", async () => {
  const log = await openEventLog(path, run);
  log.append(said(0), meta);
  await log.flushed();
  expect((await readEvents(path, {})).events).toHaveLength(1);
  await log.close();
});

test("a torn last line is cut off, and its number given again", async () => {
  const log = await openEventLog(path, run);
  log.append(said(0), meta);
  log.append(said(0), meta);
  await log.close();
  await appendFile(path, '{"protocol_version":"fcmp/1.0","run_id":"R","se');
  const again = await openEventLog(path, run);
  expect(again.append(said(0), meta)).toBe(3);
  await again.close();
  expect((await readFile(path, "utf8")).trimEnd().split("\n")).toHaveLength(3);
});

test("reads a range", async () => {
  const log = await openEventLog(path, run);
  for (let n = 1; n <= 20; n++) log.append(said(0), meta);
  await log.close();
  const seqs = async (range: Parameters<typeof readEvents>[1]) =>
    (await readEvents(path, range)).events.map((event) => event.seq);
  expect(await seqs({ from: 18 })).toEqual([18, 19, 20]);
  expect(await seqs({ from: 3, to: 5 })).toEqual([3, 4, 5]);
  expect(await seqs({ limit: 2 })).toEqual([1, 2]);
  expect((await readEvents(join(folder, "none"), {})).events).toEqual([]);
});

test("a write that failed is taken back and made good with the next flush: no gap, no torn line", async () => {
  const log = await openEventLog(path, run);
  log.append(said(1), meta);
  await log.flushed();
  const { size } = await stat(path);
  // As a full disk does it: a part of the line gets through, then the write fails.
  const real = FileHandlePrototype.appendFile;
  FileHandlePrototype.appendFile = async () => {
    await appendFile(path, '{"protocol_ver');
    throw Object.assign(new Error("no space"), { code: "ENOSPC" });
  };
  log.append(said(2), meta);
  await expect(log.flushed()).rejects.toMatchObject({ code: "ENOSPC" });
  FileHandlePrototype.appendFile = real;
  expect((await stat(path)).size).toBe(size);
  log.append(said(3), meta);
  await log.close();
  expect((await readEvents(path, {})).events.map((event) => [event.seq, event.data.code])).toEqual([
    [1, "1"],
    [2, "2"],
    [3, "3"],
  ]);
});

test("counts events within an attempt too, over reopening, and tells of them when they are in the file", async () => {
  const written: number[] = [];
  const open = () => openEventLog(path, run, (lines) => written.push(...lines.map(({ seq }) => seq)));
  const first = await open();
  first.append(said(1), { attempt: 1, turn: 1 });
  first.append(said(2), { attempt: 1, turn: 1 });
  expect(written).toEqual([]);
  await first.close();
  expect(written).toEqual([1, 2]);
  const second = await open();
  second.append(said(3), { attempt: 1, turn: 2 });
  second.append(said(4), { attempt: 2, turn: 3 });
  await second.close();
  const { events } = await readEvents(path, {});
  expect(events.map(({ seq, meta }) => [seq, meta.attempt, meta.local_seq])).toEqual([
    [1, 1, 1],
    [2, 1, 2],
    [3, 1, 3],
    [4, 2, 1],
  ]);
});

test("a page says how far the log goes, also when its last line is long or half written", async () => {
  const log = await openEventLog(path, run);
  for (let n = 1; n <= 3; n++) log.append(said(n), meta);
  log.append({ type: "diagnostic.warning", data: { code: "4", message: "x".repeat(200_000) } }, meta);
  await log.close();
  expect(await readEvents(path, { limit: 1 })).toMatchObject({ events: [{ seq: 1 }], last: 4 });
  expect(await readEvents(path, { to: 2 })).toMatchObject({ events: [{ seq: 1 }, { seq: 2 }], last: 4 });
  await appendFile(path, '{"protocol_version":"fcmp/1.0"');
  expect((await readEvents(path, { limit: 1 })).last).toBe(4);
  expect((await readEvents(path, {})).last).toBe(4);
});

test("characters that some readers take for the end of a line are spelled out", async () => {
  const log = await openEventLog(path, run);
  const text = "one}\u2028two\u2029three";
  log.append({ type: "assistant.message.final", data: { text } }, meta);
  log.append(said(2), meta);
  await log.close();
  expect(await readFile(path, "utf8")).not.toMatch(/[\u2028\u2029]/);
  const { events, last } = await readEvents(path, {});
  expect(events.map(({ seq }) => seq)).toEqual([1, 2]);
  expect(events[0]?.data.text).toBe(text);
  expect(last).toBe(2);
});

test("what cannot be spelled out takes no number", async () => {
  const log = await openEventLog(path, run);
  const endless: Record<string, unknown> = {};
  endless.self = endless;
  const event = {
    type: "assistant.tool_call" as const,
    data: { phase: "started" as const, call_id: "c", tool: "t", input: endless },
  };
  expect(() => log.append(event, meta)).toThrow();
  expect(log.append(said(1), meta)).toBe(1);
  await log.close();
});
