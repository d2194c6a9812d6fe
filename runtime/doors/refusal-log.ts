import type { Log } from "../../lib/runs/index.ts";

export interface Refusal {
  code: string;
  /** Address of who asked; a proxy's where one stands between. */
  peer: string | undefined;
  method: string;
  path: string;
}

const quietMs = 1_000;
const mostOfPath = 200;

/** Tells the operator who was not let in: one line, then for a second only how many more there were, so that a flood fills no disk. */
export function createRefusalLog(log: Log): (refusal: Refusal) => void {
  let isQuiet = false;
  let untold = 0;
  const speak = () => {
    isQuiet = false;
    if (untold > 0) log.warn({ more: untold }, "more requests were refused");
    untold = 0;
  };
  return (refusal) => {
    if (isQuiet) {
      untold += 1;
      return;
    }
    isQuiet = true;
    setTimeout(speak, quietMs).unref();
    log.warn({ ...refusal, path: refusal.path.slice(0, mostOfPath) }, "a request was refused");
  };
}
