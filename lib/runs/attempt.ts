import { setTimeout as sleep } from "node:timers/promises";
import { mediumFailure } from "../storage/index.ts";
import type { RunContext } from "./context.ts";
import { executeRun, internalFailure, type RunEnd } from "./execute-run.ts";
import { finish, runFailed, tidied } from "./finish.ts";
import { afterInterruption, interrupted } from "./interruption.ts";
import { openQueued } from "./open-queued.ts";
import type { RunRecord } from "./record.ts";
import type { RunProgress } from "./run-progress.ts";
import { emptyResult } from "./run-result.ts";
import { RunTaken } from "./run-store.ts";
import { isLost } from "./stop-reason.ts";
import { isTerminal } from "./transitions.ts";
import { dropCaches } from "./workspace.ts";

/**
 * Carries out one attempt of a queued run, and stores what it came to.
 * @param began what the record says of the attempt beside its number
 * @returns the run as it is then: it has ended, waits, or is queued again
 * @throws RunTaken when another server has the run by now; what this one did of it does not count. Else what `openQueued` throws
 */
export async function attempt(
  context: RunContext,
  queued: RunRecord,
  controller: AbortController,
  began: Partial<Pick<RunRecord, "node" | "job">> = {},
): Promise<RunRecord> {
  const { request_id: id } = queued;
  const opened = await openQueued(context, queued, controller.signal);
  if ("ended" in opened) return opened.ended;
  const { progress } = opened;
  try {
    await atLast(context, id, () =>
      progress.become("running", "turn.started", {
        attempt: queued.attempt + 1,
        first_turns: [...queued.first_turns, queued.turns + 1],
        started_at: queued.started_at ?? new Date().toISOString(),
        worked: false,
        ...began,
      }),
    );
    const end = await executeRun(context, progress, controller).catch((error: unknown): RunEnd => {
      // Of several servers, one begins it again when the storage is back; the agent has done nothing yet.
      if (context.store.isShared && isPassing(error) && !progress.jotted)
        return { kind: "interrupted", cause: "crash" };
      context.log.error({ err: error, run: id }, "a run failed inside the server");
      return { kind: "ended", result: emptyResult("failed", internalFailure(error)) };
    });
    if (isLost(controller.signal)) throw new RunTaken();
    await learnNeed(context, progress.run, end);
    await storeEnd(context, progress, end);
    if (isTerminal(progress.run.status)) await tidied(context, id, dropCaches(progress.paths));
    return progress.run;
  } finally {
    await progress.close();
  }
}

/** Stores what an attempt came to, or else why that cannot be stored. */
async function storeEnd(context: RunContext, progress: RunProgress, end: RunEnd): Promise<void> {
  const { request_id: id } = progress.run;
  try {
    await atLast(context, id, () => conclude(context, progress, end), isPassing);
  } catch (error) {
    if (isPassing(error) || error instanceof RunTaken || !context.accepting()) throw error;
    context.log.error({ err: error, run: id }, "what a run came to cannot be stored");
    const message = "What the job came to cannot be stored. The server's log says why.";
    await atLast(context, id, () => runFailed(context, progress, { code: "RESULT_NOT_STORED", message }));
  }
}

/** Stores what an attempt came to. */
async function conclude(context: RunContext, progress: RunProgress, end: RunEnd): Promise<void> {
  switch (end.kind) {
    case "ended":
      return finish(context, progress, end.result);
    case "asks": {
      const { interaction_id } = end.pending;
      const fields = { pending: end.pending, interaction_count: interaction_id, resume: null };
      return progress.become("waiting_user", "turn.needs_input", fields);
    }
    case "needs_login":
      return progress.become("waiting_auth", "auth.required", {
        pending_auth: end.pending,
        credentials_seen: end.credentials,
        resume: end.resume,
      });
    case "interrupted": {
      const next = afterInterruption(context, progress.run, { cause: end.cause, worked: progress.jotted });
      if (next === null) return runFailed(context, progress, interrupted);
      return progress.become("queued", "run.interrupted", next);
    }
  }
}

// What the engine's next runs are thought to need. It can be learnt again, so it may not keep the run from ending.
async function learnNeed({ estimates, log }: RunContext, run: RunRecord, end: RunEnd): Promise<void> {
  const { resources: took } = run;
  if (took === null) return;
  const need = { memory_mib: took.peak_memory_mib, pids: took.peak_threads, fds: took.peak_descriptors };
  const whole = end.kind === "ended" ? end.result.status === "success" : end.kind === "asks";
  await estimates
    .note(run.engine, need, whole)
    .catch((error: unknown) =>
      log.warn({ err: error, run: run.request_id }, "what a run took could not be stored"),
    );
}

const always = () => true;

const isPassing = (error: unknown) => mediumFailure(error) !== null;

// A full disk must not leave a run in limbo: what it came to is stored when there is space again.
async function atLast<T>(
  context: RunContext,
  run: string,
  store: () => Promise<T>,
  isWorthAnother: (error: unknown) => boolean = always,
): Promise<T> {
  for (let waitMs = 500; ; waitMs = Math.min(waitMs * 2, 5_000)) {
    try {
      return await store();
    } catch (error) {
      if (error instanceof RunTaken || !isWorthAnother(error)) throw error;
      context.log.error(
        { err: error, run },
        `a run's state could not be stored; trying again in ${waitMs} ms`,
      );
      if (!context.accepting()) throw error;
      await sleep(waitMs, undefined, { ref: false });
    }
  }
}
