import { setTimeout as sleep } from "node:timers/promises";
import type { JobQueue, RunChannel, TakenJob } from "../queue/index.ts";
import { attempt } from "./attempt.ts";
import { canceledByCaller } from "./cancel-run.ts";
import type { RunContext } from "./context.ts";
import { interrupted } from "./interruption.ts";
import { createQueueAdmission } from "./queue-admission.ts";
import { createQueueIntake } from "./queue-intake.ts";
import { jobOf, placeOf } from "./queued-job.ts";
import type { RunRecord } from "./record.ts";
import { nullIfGone, RunTaken } from "./run-store.ts";
import { type Scheduler, waitingOrNull } from "./scheduler.ts";
import { createStopElsewhere } from "./stop-elsewhere.ts";
import { RunStopped } from "./stop-reason.ts";
import type { StopRequests } from "./stop-requests.ts";
import { createTakeover } from "./takeover.ts";
import { isTerminal } from "./transitions.ts";

/** What several servers share beside the storage. */
export interface QueueParts {
  queue: JobQueue;
  channel: RunChannel;
  stops: StopRequests;
  /** Jobs that may wait, for all servers together. */
  maxQueueSize: number;
}

export interface QueueScheduler extends Scheduler {
  /** Begins to take work. */
  open(): void;
  /** Adds the job of a queued or running run where the queue has none: a crash came in between, or Redis has lost it. */
  ensure(run: RunRecord): Promise<void>;
  /** Adds the job of a run that this server carried out when it was cut off, so that nobody waits for its lease to end. */
  takeBack(run: RunRecord): Promise<void>;
}

interface Held {
  controller: AbortController;
  done: Promise<void>;
}

/** Milliseconds after which every engine's queue is looked at, whatever was told of it. */
const lookEveryMs = 1_000;
/** Milliseconds between two looks whether a run that is carried out here is to be ended. */
const lookForStopMs = 5_000;
/** Milliseconds that ended runs get to be stored and told at a shutdown. */
const settleMs = 20_000;
/** Milliseconds until a job is given out again that could not be carried out. */
const againMs = 5_000;

/**
 * Takes runs from a queue that several servers share: each when it has a slot for one, and the engine. The queue knows ids and
 * revisions; whether a job is still of use, the run's record says.
 */
export function createQueueScheduler(
  context: RunContext,
  parts: QueueParts,
  onWaiting: (run: RunRecord) => void,
): QueueScheduler {
  const { store, log } = context;
  const { queue, channel, stops } = parts;
  const held = new Map<string, Held>();
  /** What is done about jobs of the queue, from their taking to their end. */
  const handling = new Set<Promise<void>>();
  const closing = new AbortController();
  let looks: NodeJS.Timeout | undefined;
  const elsewhere = createStopElsewhere(context, parts);
  const admission = createQueueAdmission(context, queue, parts.maxQueueSize);
  const takeover = createTakeover(context, queue, (run) => add(run));

  const add = (run: RunRecord): Promise<void> => queue.add(jobOf(run), placeOf(run));

  // The record is stored: a job that cannot be added now is added when unfinished runs are next looked through.
  const enqueue = (run: RunRecord): void => {
    add(run).catch((error: unknown) =>
      log.warn(
        { err: error, run: run.request_id },
        "a job could not be put into the queue; it will be tried again",
      ),
    );
  };

  const complain = (job: TakenJob, error: unknown): Promise<void> => {
    log.error(
      { err: error, run: job.run },
      "a job of the queue could not be carried out; it is given out again",
    );
    return job.later(againMs);
  };

  const serve = createQueueIntake({
    queue,
    admit: (engine) => context.gate.admit({ need: () => context.estimates.need(engine) }),
    async handle(job) {
      const handled = handle(job).catch((error: unknown) => complain(job, error));
      handling.add(handled);
      await handled.finally(() => handling.delete(handled));
    },
    signal: closing.signal,
    log,
  });

  async function handle(job: TakenJob): Promise<void> {
    const { run: id } = job;
    // What this server did of it before is let go of first.
    await held.get(id)?.done;
    const run = await store.get(id).catch(nullIfGone);
    if (run === null || isTerminal(run.status)) return job.done();
    if (closing.signal.aborted) return job.later(0);
    const ready = await takeover.ready(job, run);
    if (ready === null) return job.lost.aborted ? undefined : job.done();
    if (closing.signal.aborted) return job.later(0);
    const controller = new AbortController();
    const lose = () => controller.abort(new RunStopped("lost", interrupted.message));
    job.lost.addEventListener("abort", lose, { once: true });
    if (job.lost.aborted) lose();
    const entry: Held = { controller, done: Promise.resolve() };
    entry.done = carryOut(job, ready, controller).finally(() => {
      job.lost.removeEventListener("abort", lose);
      held.delete(id);
    });
    held.set(id, entry);
    await entry.done;
  }

  async function carryOut(job: TakenJob, run: RunRecord, controller: AbortController): Promise<void> {
    const { request_id: id } = run;
    const stop = () => controller.abort(canceledByCaller());
    const stopIfAsked = async () => (await stops.isAskedFor(id)) && stop();
    // The word may be lost with a connection; what was asked for stands in the storage.
    const unlisten = channel.listen(id, (news) => {
      if (news === "stop") stop();
      else if (news === "changed") stopIfAsked().catch(() => undefined);
    });
    const looking = setInterval(() => stopIfAsked().catch(() => undefined), lookForStopMs);
    try {
      // Asked for while nobody held it.
      if (await stops.isAskedFor(id)) {
        await elsewhere.cancelQueued(run);
        return await job.done();
      }
      const after = await attempt(context, run, controller, { node: queue.node, job: job.id });
      if (after.status === "queued") await add(after).catch(() => undefined);
      const waiting = waitingOrNull(after);
      if (waiting !== null) onWaiting(waiting);
      await job.done();
    } catch (error) {
      if (!(error instanceof RunTaken)) throw error;
      log.warn(
        { run: id },
        "a run was taken over by another server; what was done of it here does not count",
      );
      // One whose lease was lost may be what another server is to take it over by.
      if (!job.lost.aborted) await job.done();
    } finally {
      clearInterval(looking);
      unlisten();
    }
  }

  async function lookThroughAll(): Promise<void> {
    const present: string[] = [];
    for (const engine of context.engines.ids) {
      const isHere = await context.engines.installed(engine, { maxAgeMs: 10_000 }).then(
        () => true,
        () => false,
      );
      if (isHere) present.push(engine);
    }
    await queue.serve(present);
    for (const engine of present) void serve(engine);
  }

  const lookLater = (): void => {
    if (closing.signal.aborted) return;
    looks = setTimeout(() => {
      lookThroughAll()
        .catch((error: unknown) => log.warn({ err: error }, "the queue could not be looked at; trying again"))
        .finally(lookLater);
    }, lookEveryMs);
    looks.unref();
  };

  return {
    reserve: ({ engine }) => admission(engine),
    start(run, reservation) {
      reservation.release();
      enqueue(run);
    },
    admit: enqueue,
    takeBack: add,
    async ensure(run) {
      if (held.has(run.request_id) || (await queue.has(jobOf(run), { engine: run.engine, node: run.node })))
        return;
      await add(run);
    },
    open() {
      queue.onAdded((engine) => void serve(engine));
      lookThroughAll()
        .catch((error: unknown) => log.warn({ err: error }, "the queue could not be looked at; trying again"))
        .finally(lookLater);
    },
    released: async (id) => held.get(id)?.done.catch(() => undefined),
    async stop(id, reason) {
      const entry = held.get(id);
      if (entry === undefined) return elsewhere.stop(id);
      entry.controller.abort(reason);
      // One that could not be begun here is given back meanwhile: it is anybody's then.
      const wasEnded = await entry.done.then(
        () => true,
        () => false,
      );
      return wasEnded || elsewhere.stop(id);
    },
    async shutdown(graceMs) {
      closing.abort();
      clearTimeout(looks);
      const entries = [...held.values()];
      const reason = new RunStopped("shutdown", interrupted.message);
      const grace = setTimeout(() => {
        for (const { controller } of entries) controller.abort(reason);
      }, graceMs);
      // Redis may be away: what it is told last then is told by the leases that run out.
      const patience = sleep(graceMs + settleMs, undefined, { ref: false });
      const settled = async () => {
        while (handling.size > 0) await Promise.all(handling);
      };
      await Promise.race([settled(), patience]);
      clearTimeout(grace);
    },
  };
}
