import { parseJson } from "../json.ts";
import { type RunEvent, runEvent } from "./event-log.ts";
import { createEventReader } from "./event-reader.ts";
import { readTail } from "./tail.ts";

/** Which events are wanted; both ends belong to it. */
export interface EventRange {
  from?: number | undefined;
  to?: number | undefined;
  /** ISO 8601 times, in UTC. */
  fromTime?: string | undefined;
  toTime?: string | undefined;
  limit?: number | undefined;
}

/** Bytes of the log that are read in one go: a log may be larger than memory should be. */
const pieceBytes = 256 * 1024;

/** Reads events in order, at most `limit`, and the number of the last event there is; a run that has none gives [] and 0. */
export async function readEvents(
  path: string,
  { from = 1, to = Number.MAX_SAFE_INTEGER, fromTime, toTime, limit = 1_000 }: EventRange,
): Promise<{ events: RunEvent[]; last: number }> {
  const events: RunEvent[] = [];
  const isWanted = ({ ts }: RunEvent) =>
    (fromTime === undefined || Date.parse(ts) >= Date.parse(fromTime)) &&
    (toTime === undefined || Date.parse(ts) <= Date.parse(toTime));
  const reader = createEventReader(path);
  let last = 0;
  try {
    for (;;) {
      const lines = await reader.next(pieceBytes);
      if (lines.length === 0) return { events, last };
      for (const { seq, text } of lines) {
        last = seq;
        if (seq < from) continue;
        if (seq > to || events.length === limit) return { events, last: Math.max(seq, await lastSeq(path)) };
        const event = runEvent.safeParse(parseJson(text)).data;
        if (event !== undefined && isWanted(event)) events.push(event);
      }
    }
  } finally {
    await reader.close();
  }
}

/** Bytes of a log's end that are looked at first: more than most lines have. */
const endBytes = 64 * 1024;

/** The number of a log's last event, read from its end alone; 0 when that cannot be told. */
async function lastSeq(path: string): Promise<number> {
  for (let bytes = endBytes; ; bytes *= 8) {
    const { text, truncated } = await readTail(path, bytes);
    const line = text
      .slice(0, text.lastIndexOf("\n") + 1)
      .split("\n")
      .at(-2);
    if (line !== undefined) return runEvent.safeParse(parseJson(line)).data?.seq ?? 0;
    if (!truncated) return 0;
  }
}
