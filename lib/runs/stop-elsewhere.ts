import type { RunChannel } from "../queue/index.ts";
import { canceledByCaller, cancelRun } from "./cancel-run.ts";
import type { RunContext } from "./context.ts";
import type { RunRecord } from "./record.ts";
import { RunTaken } from "./run-store.ts";
import type { StopRequests } from "./stop-requests.ts";
import { isTerminal } from "./transitions.ts";

/** Milliseconds for which a caller waits for another server to end a run. */
const stopPatienceMs = 20_000;
const stopAgainMs = 1_000;

/** Ends runs that this server does not carry out. */
export interface StopElsewhere {
  /** Ends a run that nobody carries out yet. @throws RunTaken when somebody was faster */
  cancelQueued(run: RunRecord): Promise<void>;
  /** @returns whether the run has ended by that; false when there was none to be ended, or its server does not answer */
  stop(id: string): Promise<boolean>;
}

export function createStopElsewhere(
  context: RunContext,
  { channel, stops }: { channel: RunChannel; stops: StopRequests },
): StopElsewhere {
  const { store } = context;

  async function cancelQueued(run: RunRecord): Promise<void> {
    await cancelRun(context, run, canceledByCaller());
    await stops.forget(run.request_id);
  }

  async function stop(id: string): Promise<boolean> {
    const patience = AbortSignal.timeout(stopPatienceMs);
    for (let asked = false; ; ) {
      const run = await store.get(id);
      if (!(run.status === "queued" || run.status === "running")) {
        if (asked) await stops.forget(id);
        return asked && isTerminal(run.status);
      }
      if (!asked) {
        asked = true;
        await stops.ask(id);
      }
      if (run.status === "queued") {
        // Whoever takes it in this moment was first, or we were.
        const wasFirst = await cancelQueued(run).then(() => true, onlyIfTaken);
        if (wasFirst) return true;
        continue;
      }
      if (patience.aborted) return false;
      channel.tell(id, "stop");
      await store.until(
        id,
        ({ status, revision }) => isTerminal(status) || revision !== run.revision,
        AbortSignal.any([patience, AbortSignal.timeout(stopAgainMs)]),
      );
    }
  }

  return { cancelQueued, stop };
}

function onlyIfTaken(error: unknown): false {
  if (error instanceof RunTaken) return false;
  throw error;
}
