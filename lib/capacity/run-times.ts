/** Weight of the newest run in the moving average. */
const newestWeight = 0.2;
/** What a run is thought to take, in ms, before one has finished. */
const unknownMs = 30_000;
const mostSeconds = 300;

/** How long runs took lately, and what that means for somebody who found the queue full. */
export interface RunTimes {
  note(tookMs: number): void;
  /** Whole seconds until a queue of this length has moved up, at least 1. */
  retryAfterSeconds(queued: number, atOnce: number): number;
}

export function createRunTimes(): RunTimes {
  let averageMs: number | undefined;
  return {
    note(tookMs) {
      averageMs = averageMs === undefined ? tookMs : averageMs + newestWeight * (tookMs - averageMs);
    },
    retryAfterSeconds(queued, atOnce) {
      const seconds = ((averageMs ?? unknownMs) * queued) / atOnce / 1000;
      return Math.min(mostSeconds, Math.max(1, Math.ceil(seconds)));
    },
  };
}
