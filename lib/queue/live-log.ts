import type { Redis } from "ioredis";
import { createLineQueue } from "./line-queue.ts";
import { type LiveLine, liveStreams } from "./live-log-scripts.ts";

/** Event logs of runs while they live, in Redis: other nodes follow them, and one that takes a run over reads what was told. */
export interface LiveLog {
  /**
   * From now on only who writes with this fence or a greater one is listened to. Resolves when it holds, also a second time.
   * @throws FenceHeld when a greater one holds; what ioredis throws when Redis does not answer
   */
  claim(runId: string, fence: number): Promise<void>;
  /**
   * Adds lines in order, in the background, also where numbers are left out. Never rejects: what the stream refuses (an older
   * fence, a number that another line has) is dropped and logged. While Redis is away, lines wait in memory, 8 MiB in all;
   * what does not fit is dropped and logged.
   */
  append(runId: string, fence: number, lines: readonly LiveLine[]): void;
  /** Resolves when all that was appended for this run until now is sent or dropped, or after `ms`. */
  flushed(runId: string, ms: number): Promise<void>;
  /**
   * Lines behind `seq`, oldest first: at most `maxBytes` of text, but one line always when there is one. Numbers may be left
   * out where lines were dropped.
   * @throws what ioredis throws when Redis does not answer
   */
  after(runId: string, seq: number, maxBytes: number): Promise<LiveLine[]>;
  /**
   * The run has ended, and its log is in the storage: the stream may go after a while, once all lines are in it.
   * @param fence nothing happens when a greater one holds: another node has the run
   */
  end(runId: string, fence?: number): void;
  /** Waits 2 s at most for what is not sent yet. The connection stays open. */
  close(): Promise<void>;
}

export interface LiveLogParts {
  redis: Redis;
  /** What all keys begin with. */
  prefix: string;
  log: { warn(fields: object, message: string): void };
  /** For how long the stream of an ended run stays, in ms: those who follow it read to its end. */
  keptMs?: number;
  /** Called when lines of a run have come into its stream: from then on others can read them. */
  onSent?(runId: string): void;
}

/** A claim that comes too late: another has the run. */
export class FenceHeld extends Error {
  override readonly name = "FenceHeld";
}

const defaultKeptMs = 10 * 60 * 1000;

export function createLiveLog({ redis, prefix, log, keptMs = defaultKeptMs, onSent }: LiveLogParts): LiveLog {
  const streams = liveStreams(redis, prefix);
  const queue = createLineQueue({
    async send(run, fence, lines) {
      const refused = await streams.append(run, fence, lines);
      const fields = { run, fence, lines: refused < 0 ? lines.length : refused };
      if (refused < 0) log.warn(fields, "live events were dropped: another node has taken the run over");
      else if (refused > 0) log.warn(fields, "live events were dropped: their numbers are taken");
      if (refused >= 0 && refused < lines.length) onSent?.(run);
    },
    async end(run, fence) {
      if ((await streams.end(run, fence, keptMs)) < 0)
        log.warn({ run, fence }, "live events are kept: another node has taken the run over");
    },
    log,
  });
  return {
    async claim(runId, fence) {
      if ((await streams.append(runId, fence, [])) < 0)
        throw new FenceHeld(
          `Another node has taken the run ${runId} over: ${fence} is not the newest fence.`,
        );
    },
    append: (runId, fence, lines) => queue.append(runId, fence, lines),
    flushed: (runId, ms) => queue.flushed(runId, ms),
    after: (runId, seq, maxBytes) => streams.after(runId, seq, maxBytes),
    end: (runId, fence) => queue.end(runId, fence),
    close: () => queue.close(),
  };
}
