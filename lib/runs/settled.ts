import type { PendingAuth } from "./auth-challenge.ts";
import type { RunContext } from "./context.ts";
import type { PendingInteraction } from "./interaction.ts";
import type { RunRecord } from "./record.ts";
import { type RunResult, resultOf } from "./run-result.ts";
import { isTerminal, waitsForSomebody } from "./transitions.ts";

/** What a job has come to. */
export interface Settled {
  request_id: string;
  cache_hit: boolean;
  /** Null while the job waits for its upload. */
  status: RunRecord["status"] | null;
  /** There when it has ended. */
  result?: RunResult;
  pending?: PendingInteraction;
  pending_auth?: PendingAuth;
}

/** Waits until a job has ended or waits for somebody, or until `ms` are over or one of the signals aborts. */
export async function settled(
  { store, folders }: Pick<RunContext, "store" | "folders">,
  id: string,
  ms: number,
  signals: readonly AbortSignal[],
): Promise<Settled> {
  const run = await untilOneAborts([...signals, AbortSignal.timeout(ms)], (enough) =>
    store.until(id, ({ status }) => isTerminal(status) || waitsForSomebody(status), enough),
  );
  const { request_id, cache_hit, status, pending, pending_auth } = run;
  return {
    request_id,
    cache_hit,
    status: status === "created" ? null : status,
    ...(isTerminal(status) ? { result: await resultOf((await folders.here(run)).result, run) } : {}),
    ...(pending === null ? {} : { pending }),
    ...(pending_auth === null ? {} : { pending_auth }),
  };
}

/** Like AbortSignal.any, which keeps something for every call with a signal that lives as long as the server. */
async function untilOneAborts<T>(
  signals: readonly AbortSignal[],
  wait: (one: AbortSignal) => Promise<T>,
): Promise<T> {
  const one = new AbortController();
  const abort = () => one.abort();
  for (const signal of signals) {
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort);
  }
  try {
    return await wait(one.signal);
  } finally {
    for (const signal of signals) signal.removeEventListener("abort", abort);
  }
}
