import { type FileHandle, mkdir, open, readFile, truncate } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { jsonLine, parseJson } from "../json.ts";
import type { ToldEvent } from "./event-types.ts";

/** The bytes of an agent's output that an event was read from: `GET .../logs/range` gives them. */
export const rawRef = z.object({
  attempt_number: z.int(),
  turn: z.int(),
  stream: z.enum(["stdout", "stderr"]),
  byte_from: z.int(),
  byte_to: z.int().describe("The first byte behind them."),
  encoding: z.literal("utf-8"),
});
export type RawRef = z.infer<typeof rawRef>;

/** One line of a run's event log, in the envelope of the public protocol FCMP/1.0. */
export const runEvent = z.object({
  protocol_version: z.literal("fcmp/1.0"),
  run_id: z.string(),
  seq: z.int().describe("Contiguous from 1 over the whole job."),
  ts: z.string(),
  engine: z.string(),
  type: z.string(),
  data: z.record(z.string(), z.unknown()),
  meta: z.object({
    attempt: z.int(),
    turn: z.int(),
    local_seq: z.int().describe("Contiguous from 1 within the attempt."),
  }),
  correlation: z
    .record(z.string(), z.union([z.string(), z.int()]))
    .describe("Ids that tie events to each other: call_id, interaction_id, auth_session_id."),
  raw_ref: rawRef.nullable(),
});
export type RunEvent = z.infer<typeof runEvent>;

/** An event that is in the file. */
export interface WrittenLine {
  seq: number;
  /** The line without its end. */
  text: string;
  /** Bytes of the log up to the end of this line. */
  end: number;
  /** It tells the run's end: nothing comes after it. */
  last: boolean;
  /** As it is sent, made once for all who follow. */
  frame?: Uint8Array;
}

export interface EventLog {
  /**
   * Adds an event and gives its number. It is in the file when `flushed` next resolves; lines keep the order of the calls.
   * @param at when it happened, ISO 8601; now unless given
   */
  append(event: ToldEvent, meta: { attempt: number; turn: number }, raw?: RawRef | null, at?: string): number;
  /** Bytes the log has, what still waits to be written included. */
  readonly bytes: number;
  /** Resolves when all that was appended is written; rejects when the medium failed. */
  flushed(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens the append-only log of a run, going on after its last whole line (a crash may have torn the one behind it).
 * @param onWritten handed events when they are in the file, in order: nobody is told what a crash could take back
 */
export async function openEventLog(
  path: string,
  run: { runId: string; engine: string },
  onWritten: (lines: readonly WrittenLine[]) => void = () => undefined,
): Promise<EventLog> {
  const file = await openForAppend(path);
  let { seq, size, local } = await whereItEnds(path, file).catch(async (error: unknown) => {
    await file.close();
    throw error;
  });
  let bytes = size;
  let waiting: WrittenLine[] = [];
  let writing: Promise<void> = Promise.resolve();
  let scheduled = false;
  const write = async () => {
    const lines = waiting;
    waiting = [];
    const last = lines.at(-1);
    if (last === undefined) return;
    try {
      await file.appendFile(`${lines.map(({ text }) => text).join("\n")}\n`);
      size = last.end;
    } catch (error) {
      // What was written of it is taken back, and tried again with the next flush.
      waiting = [...lines, ...waiting];
      await file.truncate(size).catch(() => undefined);
      throw error;
    }
    onWritten(lines);
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
    append({ type, data }, meta, raw = null, at = new Date().toISOString()) {
      const local_seq = local?.attempt === meta.attempt ? local.seq + 1 : 1;
      const event: RunEvent = {
        protocol_version: "fcmp/1.0",
        run_id: run.runId,
        seq: seq + 1,
        ts: at,
        engine: run.engine,
        type,
        data,
        meta: { ...meta, local_seq },
        correlation: correlationOf(data),
        raw_ref: raw,
      };
      // What cannot be spelled out throws before it has a number.
      const text = jsonLine(event);
      seq = event.seq;
      local = { attempt: meta.attempt, seq: local_seq };
      bytes += Buffer.byteLength(text) + 1;
      const last = type === "conversation.state.changed" && data.terminal !== undefined;
      waiting.push({ seq, text, end: bytes, last });
      if (!scheduled) {
        scheduled = true;
        // Whoever asked for a flush before has done it.
        setImmediate(() => scheduled && flush());
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

interface LogEnd {
  seq: number;
  size: number;
  /** The last attempt, and the number of its last event. */
  local: { attempt: number; seq: number } | null;
}

/** How far a log goes, in events and bytes, once what a crash tore off its end is cut away. */
async function whereItEnds(path: string, file: FileHandle): Promise<LogEnd> {
  if ((await file.stat()).size === 0) return { seq: 0, size: 0, local: null };
  const text = await readFile(path, "utf8");
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  const size = Buffer.byteLength(whole);
  if (whole.length < text.length) await truncate(path, size);
  const lines = whole.split("\n");
  const meta = runEvent.safeParse(parseJson(lines.at(-2) ?? "")).data?.meta;
  return {
    seq: lines.length - 1,
    size,
    local: meta === undefined ? null : { attempt: meta.attempt, seq: meta.local_seq },
  };
}

function correlationOf(data: ToldEvent["data"]): RunEvent["correlation"] {
  const ids: RunEvent["correlation"] = {};
  if ("call_id" in data) ids.call_id = data.call_id;
  if ("interaction_id" in data) ids.interaction_id = data.interaction_id;
  if ("auth_session_id" in data) ids.auth_session_id = data.auth_session_id;
  return ids;
}
