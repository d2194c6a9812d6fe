import { existsSync } from "node:fs";
import { trackingVariable } from "../agents/index.ts";
import type { JobQueue } from "../queue/index.ts";
import type { RunContext } from "./context.ts";
import { isRunId, runPaths } from "./paths.ts";
import { sweepByEnvironment } from "./process-tree.ts";
import type { QueueScheduler } from "./queue-scheduler.ts";
import type { RunRecord } from "./record.ts";
import type { Recovery } from "./recovery.ts";
import { nullIfGone } from "./run-store.ts";
import { waitsForSomebody } from "./transitions.ts";
import type { Waiting } from "./waiting.ts";

export interface QueueRecovery extends Recovery {
  stop(): void;
}

const readAtOnce = 16;

/**
 * Sees to it that every unfinished run of a shared storage has its job in the queue, or somebody who minds its time, whatever
 * server or Redis has lost. Every server does that, at its start and from time to time: what is there already is left alone.
 * @param everyMs milliseconds between two looks
 * @param awayMs milliseconds after which the work of a server that is away is given to others
 */
export function createQueueRecovery(
  context: RunContext,
  parts: { queue: JobQueue; scheduler: QueueScheduler; waiting: Waiting; everyMs: number; awayMs: number },
): QueueRecovery {
  const { store, secrets, log, dataDir } = context;
  const { queue, scheduler, waiting, everyMs, awayMs } = parts;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  /** Reads every unfinished run, some at a time: a storage on the network takes its time for each. @returns their ids */
  async function eachUnfinished(look: (run: RunRecord) => void | Promise<void>): Promise<string[]> {
    const ids = await store.unfinished();
    const lookAt = async (id: string) => {
      const run = await store.get(id).catch(nullIfGone);
      if (run !== null) await look(run);
    };
    for (let from = 0; from < ids.length && !stopped; from += readAtOnce)
      await Promise.all(ids.slice(from, from + readAtOnce).map(lookAt));
    return ids;
  }

  async function lookAtAll(isStart: boolean): Promise<void> {
    const unfinished = await eachUnfinished(async (run) => {
      if (waitsForSomebody(run.status)) waiting.watch(run);
      else if (isStart && run.status === "running" && run.node === queue.node) await scheduler.takeBack(run);
      else if (run.status === "queued" || run.status === "running") await scheduler.ensure(run);
    });
    await queue.rescue(awayMs);
    await secrets.forgetAllBut(unfinished);
  }

  const again = (): void => {
    timer = setTimeout(() => {
      lookAtAll(false)
        .catch((error: unknown) =>
          log.warn({ err: error }, "unfinished jobs could not be looked through; trying again"),
        )
        .finally(() => stopped || again());
    }, everyMs);
    timer.unref();
  };

  return {
    async recover() {
      // Whatever still runs for a run of this data directory lost its server, but for what another one on this machine has in hand.
      const elsewhere = new Set<string>();
      const unfinished = await eachUnfinished((run) => {
        if (run.status === "running" && run.node !== queue.node) elsewhere.add(run.request_id);
      });
      await secrets.adopt(unfinished);
      const isOurs = (id: string) =>
        isRunId(id) && existsSync(runPaths(dataDir, id).root) && !elsewhere.has(id);
      await sweepByEnvironment(trackingVariable, isOurs);
      await lookAtAll(true);
      scheduler.open();
      again();
    },
    takeUpNow: async () => undefined,
    forget: () => undefined,
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
