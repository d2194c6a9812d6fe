import type { RunContext } from "./context.ts";
import type { RunRecord } from "./record.ts";

/** Milliseconds between two tries to take back what the storage, which does not answer, may hold. */
const againMs = 5_000;

/**
 * Takes back a run whose caller is told that there is none, with what was kept for it. Never rejects; what the storage does not do
 * now is tried again for as long as the server takes work.
 */
export async function takeBack(
  context: Pick<RunContext, "store" | "secrets" | "accepting" | "log">,
  run: RunRecord,
): Promise<void> {
  try {
    if (await context.store.retract(run)) await context.secrets.forget(run.request_id);
  } catch (error) {
    context.log.warn(
      { err: error, run: run.request_id },
      `a job that was refused could not be taken back; trying again in ${againMs} ms`,
    );
    setTimeout(() => context.accepting() && void takeBack(context, run), againMs).unref();
  }
}
