import { setTimeout as sleep } from "node:timers/promises";
import type { LiveLine } from "./live-log-scripts.ts";
import { isRefusal } from "./refusal.ts";

/** Lines on their way to Redis, in order for each run. */
export interface LineQueue {
  append(runId: string, fence: number, lines: readonly LiveLine[]): void;
  /** Has `end` called when all lines of the run are gone. */
  end(runId: string, fence: number | undefined): void;
  /** Resolves when what was appended for the run until now is sent or dropped, or after `ms`. */
  flushed(runId: string, ms: number): Promise<void>;
  /** Takes nothing more, and waits a little for what there is. */
  close(): Promise<void>;
}

export interface LineQueueParts {
  /** Sends lines. It is called again when it rejects, unless Redis refused. */
  send(runId: string, fence: number, lines: readonly LiveLine[]): Promise<void>;
  end(runId: string, fence: number | undefined): Promise<void>;
  log: { warn(fields: object, message: string): void };
}

interface QueuedLine extends LiveLine {
  fence: number;
  bytes: number;
}

interface RunQueue {
  lines: QueuedLine[];
  /** What `end` is to be called with. */
  end: { fence: number | undefined } | null;
  /** How many lines there was no room for. */
  dropped: number;
  added: number;
  gone: number;
  waiting: { upTo: number; resolve(): void }[];
  /** Resolves when nothing is left to do for the run. */
  drained: Promise<void>;
}

/** What all runs together may have waiting, in bytes. */
const room = 8 * 1024 * 1024;
/** What a line takes besides its text, about. */
const lineCost = 100;
/** Redis does nothing else while it takes a batch. */
const batchBytes = 256 * 1024;
const batchLines = 500;
const retryMs = 1000;
const closeMs = 2000;

export function createLineQueue({ send, end, log }: LineQueueParts): LineQueue {
  const queues = new Map<string, RunQueue>();
  const closing = new AbortController();
  let free = room;
  let isTaking = true;
  let isAway = false;

  function queueOf(runId: string): RunQueue {
    const earlier = queues.get(runId);
    if (earlier !== undefined) return earlier;
    const queue: RunQueue = {
      lines: [],
      end: null,
      dropped: 0,
      added: 0,
      gone: 0,
      waiting: [],
      // Begun a little later: what comes in this turn of the event loop goes out together.
      drained: Promise.resolve().then(() => drain(runId, queue)),
    };
    queues.set(runId, queue);
    return queue;
  }

  async function drain(runId: string, queue: RunQueue) {
    while (!closing.signal.aborted) {
      const batch = firstBatch(queue.lines);
      const [first] = batch;
      if (first !== undefined) {
        await delivered(runId, () => send(runId, first.fence, batch));
        queue.lines.splice(0, batch.length);
        for (const { bytes } of batch) free += bytes;
        settle(queue, batch.length);
      } else if (queue.end !== null) {
        const { fence } = queue.end;
        queue.end = null;
        await delivered(runId, () => end(runId, fence));
      } else break;
    }
    queues.delete(runId);
    if (queue.dropped > 0)
      log.warn({ run: runId, lines: queue.dropped }, "live events were dropped: too many waited for Redis");
  }

  /** Resolves when it is done, refused, or given up. */
  async function delivered(runId: string, act: () => Promise<void>) {
    while (!closing.signal.aborted) {
      try {
        await act();
        isAway = false;
        return;
      } catch (error) {
        if (closing.signal.aborted) return;
        if (isRefusal(error)) {
          log.warn({ err: error, run: runId }, "Redis refused live events: they were dropped");
          return;
        }
        if (!isAway) log.warn({ err: error }, "Redis takes no live events for now: they wait in memory");
        isAway = true;
        await sleep(retryMs, undefined, { ref: false, signal: closing.signal }).catch(() => undefined);
      }
    }
  }

  function settle(queue: RunQueue, many: number) {
    queue.gone += many;
    const isPast = ({ upTo }: { upTo: number }) => upTo <= queue.gone;
    for (const { resolve } of queue.waiting.filter(isPast)) resolve();
    queue.waiting = queue.waiting.filter((waiting) => !isPast(waiting));
  }

  async function flushed(runId: string, ms: number) {
    const queue = queues.get(runId);
    if (queue === undefined || queue.gone >= queue.added) return;
    await within(ms, new Promise<void>((resolve) => queue.waiting.push({ upTo: queue.added, resolve })));
  }

  return {
    append(runId, fence, lines) {
      if (!isTaking || lines.length === 0) return;
      const queue = queueOf(runId);
      for (const { seq, text } of lines) {
        const bytes = Buffer.byteLength(text) + lineCost;
        if (bytes > free) queue.dropped++;
        else {
          free -= bytes;
          queue.added++;
          queue.lines.push({ seq, text, fence, bytes });
        }
      }
    },
    end(runId, fence) {
      if (isTaking) queueOf(runId).end = { fence };
    },
    flushed,
    async close() {
      isTaking = false;
      const drained = Promise.all([...queues.values()].map((queue) => queue.drained));
      await within(closeMs, drained);
      closing.abort();
      for (const [runId, { lines }] of queues)
        if (lines.length > 0)
          log.warn({ run: runId, lines: lines.length }, "live events were dropped: Redis did not take them");
    },
  };
}

/** The first lines that may go together. */
function firstBatch(lines: readonly QueuedLine[]): QueuedLine[] {
  const batch: QueuedLine[] = [];
  let bytes = 0;
  for (const line of lines) {
    bytes += line.bytes;
    const isFull = batch.length === batchLines || bytes > batchBytes || line.fence !== batch[0]?.fence;
    if (batch.length > 0 && isFull) break;
    batch.push(line);
  }
  return batch;
}

/** Resolves with the promise, or after `ms`. */
async function within(ms: number, done: Promise<unknown>): Promise<void> {
  const over = new AbortController();
  await Promise.race([done, sleep(ms, undefined, { signal: over.signal }).catch(() => undefined)]);
  over.abort();
}
