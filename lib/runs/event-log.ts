import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, readFile, truncate } from "node:fs/promises";
import { dirname } from "node:path";
import { createInterface } from "node:readline";
import { z } from "zod";
import type { ToldEvent } from "./event-types.ts";

/** One line of a run's event log, in the envelope of the public protocol FCMP/1.0. */
export const runEvent = z.object({
  protocol_version: z.literal("fcmp/1.0"),
  run_id: z.string(),
  /** Contiguous from 1 over the whole run. */
  seq: z.int(),
  ts: z.string(),
  engine: z.string(),
  type: z.string(),
  data: z.record(z.string(), z.unknown()),
  meta: z.object({ attempt: z.int(), turn: z.int() }),
});
export type RunEvent = z.infer<typeof runEvent>;

export interface EventLog {
  /** Adds an event and gives its number. It is in the file when `flushed` next resolves; lines keep the order of the calls. */
  append(event: ToldEvent, meta: { attempt: number; turn: number }): number;
  /** Bytes the log has, what still waits to be written included. */
  readonly bytes: number;
  /** Resolves when all that was appended is written; rejects when the medium failed. */
  flushed(): Promise<void>;
  close(): Promise<void>;
}

/** Opens the append-only log of a run, going on after its last whole line (a crash may have torn the one behind it). */
export async function openEventLog(path: string, run: { runId: string; engine: string }): Promise<EventLog> {
  const file = await openForAppend(path);
  let size = (await file.stat()).size;
  let seq = 0;
  if (size > 0) ({ seq, size } = await lastSequence(path));
  let bytes = size;
  let waiting: string[] = [];
  let writing: Promise<void> = Promise.resolve();
  let scheduled = false;
  const write = async () => {
    const lines = waiting;
    waiting = [];
    const text = lines.join("");
    try {
      if (text !== "") await file.appendFile(text);
      size += Buffer.byteLength(text);
    } catch (error) {
      // What was written of it is taken back, and tried again with the next flush.
      waiting = [...lines, ...waiting];
      await file.truncate(size).catch(() => undefined);
      throw error;
    }
  };
  const flush = () => {
    scheduled = false;
    writing = writing.then(write, write);
    writing.catch(() => undefined); // reported by flushed()
  };
  return {
    get bytes() {
      return bytes;
    },
    append({ type, data }, meta) {
      seq += 1;
      const event: RunEvent = {
        protocol_version: "fcmp/1.0",
        run_id: run.runId,
        seq,
        ts: new Date().toISOString(),
        engine: run.engine,
        type,
        data,
        meta,
      };
      const line = `${JSON.stringify(event)}\n`;
      bytes += Buffer.byteLength(line);
      waiting.push(line);
      if (!scheduled) {
        scheduled = true;
        setImmediate(flush);
      }
      return seq;
    },
    async flushed() {
      if (scheduled || waiting.length > 0) flush();
      await writing;
    },
    async close() {
      if (scheduled || waiting.length > 0) flush();
      try {
        await writing;
      } finally {
        file.close().catch(() => undefined);
      }
    },
  };
}

async function openForAppend(path: string): Promise<FileHandle> {
  try {
    return await open(path, "a");
  } catch {
    await mkdir(dirname(path), { recursive: true });
    return open(path, "a");
  }
}

/** How far a log goes, in events and bytes, once what a crash tore off its end is cut away. */
async function lastSequence(path: string): Promise<{ seq: number; size: number }> {
  const text = await readFile(path, "utf8");
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  const size = Buffer.byteLength(whole);
  if (whole.length < text.length) await truncate(path, size);
  return { seq: whole.split("\n").length - 1, size };
}

/**
 * Reads events with `from <= seq <= to` in order, at most `limit`; a run that has none gives [].
 * Lines are read as a stream: a log may be larger than memory should be.
 */
export async function readEvents(
  path: string,
  { from = 1, to = Number.MAX_SAFE_INTEGER, limit = 1_000 }: { from?: number; to?: number; limit?: number },
): Promise<RunEvent[]> {
  const events: RunEvent[] = [];
  const stream = createReadStream(path, "utf8");
  const lines = createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY });
  try {
    let seq = 0;
    for await (const line of lines) {
      seq += 1;
      if (seq < from) continue;
      if (seq > to || events.length === limit) break;
      const event = runEvent.safeParse(parseLine(line));
      if (event.success) events.push(event.data);
    }
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  } finally {
    stream.destroy();
  }
  return events;
}

/** A line of the log as JSON, or null: the last one may be half written, and a power cut may have damaged one. */
export function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
