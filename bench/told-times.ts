import type { Readable } from "node:stream";

/** When lines came out of a stream, in milliseconds of this process: each is taken once, in order. */
export interface ToldTimes {
  /** @throws Error when none comes in 30 s */
  next(): Promise<number>;
}

const patienceMs = 30_000;

/** Hears short lines of other processes: a pipe hands them over in well under a millisecond. */
export function toldTimes(stream: Readable): ToldTimes {
  const times: number[] = [];
  let wake = () => {};
  stream.on("data", (chunk: Buffer) => {
    const now = performance.now();
    for (const byte of chunk) if (byte === 0x0a) times.push(now);
    wake();
  });
  return {
    async next() {
      for (;;) {
        const time = times.shift();
        if (time !== undefined) return time;
        await new Promise<void>((resolve, reject) => {
          const timer = setTimeout(
            () => reject(new Error("a process did not say that it has begun")),
            patienceMs,
          );
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
    },
  };
}
