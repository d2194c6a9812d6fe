import { RunnerError } from "../errors.ts";
import { openIfThere } from "../open-if-there.ts";
import { type RunPaths, turnPaths } from "./paths.ts";
import type { RunRecord } from "./record.ts";
import { isTerminal } from "./transitions.ts";

/** A piece of what an agent printed. */
export interface LogRange {
  stream: "stdout" | "stderr";
  turn: number;
  byte_from: number;
  /** The first byte behind the piece. */
  byte_to: number;
  bytes_total: number;
  chunk: string;
}

export interface LogRangeRequest {
  stream: "stdout" | "stderr" | "pty";
  from: number;
  /** The first byte that is not wanted any more. */
  to?: number | undefined;
  turn?: number | undefined;
  attempt?: number | undefined;
}

/** Most bytes one answer carries. */
const mostBytes = 1024 * 1024;

/**
 * Reads bytes of a turn's log as text. Characters that the range cuts in two are left out at its end, so that pieces read
 * one after the other make the whole.
 * @param turns how many turns the run has had
 * @throws RunnerError REQUEST_INVALID for a stream, turn or attempt there is none of
 */
export async function readLogRange(
  paths: RunPaths,
  run: RunRecord,
  turns: number,
  request: LogRangeRequest,
): Promise<LogRange> {
  const { stream, from } = request;
  if (stream === "pty")
    throw invalid("stream", "agents are run by pipes, not in a terminal: take stdout or stderr");
  const { turn, begun } =
    request.turn === undefined
      ? lastTurnOf(run, turns, request.attempt)
      : { turn: knownTurn(request.turn, turns), begun: true };
  const file = begun ? await openIfThere(turnPaths(paths, turn)[stream]) : null;
  if (file === null) return { stream, turn, byte_from: from, byte_to: from, bytes_total: 0, chunk: "" };
  try {
    const { size } = await file.stat();
    const to = Math.min(request.to ?? size, from + mostBytes, size);
    const buffer = Buffer.alloc(Math.max(0, to - from));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, from);
    // A log that still grows may end in the middle of a character.
    const isEnd = from + bytesRead >= size && (isTerminal(run.status) || turn < turns);
    const cut = cutTail(buffer.subarray(0, bytesRead), isEnd);
    // A range within one character gives what it can, or whoever reads piece by piece would stay where it is.
    const whole = cut === bytesRead && from + bytesRead < size ? bytesRead : bytesRead - cut;
    const chunk = buffer.toString("utf8", 0, whole);
    return { stream, turn, byte_from: from, byte_to: from + whole, bytes_total: size, chunk };
  } finally {
    await file.close();
  }
}

/** @throws RunnerError REQUEST_INVALID */
function knownTurn(turn: number, turns: number): number {
  if (turn >= 1 && turn <= Math.max(turns, 1)) return turn;
  throw invalid("turn", `the job has ${turns} turns`);
}

/** The last turn of an attempt, or of the run; an attempt that has begun none yet, or never did, has the one that it would begin. */
function lastTurnOf(
  { first_turns }: RunRecord,
  turns: number,
  attempt: number | undefined,
): { turn: number; begun: boolean } {
  if (attempt === undefined) return { turn: Math.max(turns, 1), begun: true };
  const first = first_turns[attempt - 1];
  if (first === undefined) throw invalid("attempt", `the job has ${first_turns.length} attempts`);
  const last = (first_turns[attempt] ?? turns + 1) - 1;
  return { turn: Math.max(first, last), begun: last >= first };
}

/** Bytes at the end that begin a character (UTF-8, RFC 3629) whose rest is not there; at the end of the log none are left out. */
function cutTail(bytes: Buffer, isEnd: boolean): number {
  if (isEnd) return 0;
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (byte < 0x80) return 0;
    if (byte >= 0xc0) return back < (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) ? back : 0;
  }
  return 0;
}

function invalid(name: string, message: string): RunnerError {
  return new RunnerError("REQUEST_INVALID", `${name}: ${message}.`, {
    issues: [{ pointer: `/query/${name}`, message }],
  });
}
