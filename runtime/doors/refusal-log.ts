import type { Log } from "../../lib/runs/index.ts";

export interface Refusal {
  code: string;
  /** Address of who asked; a proxy's where one stands between. */
  peer: string | undefined;
  method: string;
  path: string;
}

const quietMs = 1_000;

/** Tells the operator who was not let in: one line a second, with how many more there were, so that a flood fills no disk. */
export function createRefusalLog(log: Log, now: () => number = Date.now): (refusal: Refusal) => void {
  let quietUntil = 0;
  let untold = 0;
  return (refusal) => {
    if (now() < quietUntil) {
      untold += 1;
      return;
    }
    quietUntil = now() + quietMs;
    log.warn(
      { ...refusal, ...(untold === 0 ? {} : { more_since_the_last_line: untold }) },
      "a request was refused",
    );
    untold = 0;
  };
}
