import { buildContinuePrompt } from "../skills/index.ts";
import type { RunContext } from "./context.ts";
import type { Resume, RunRecord } from "./record.ts";

/** How an attempt was cut short: by a crash of the server, or by its stop. */
export interface Interruption {
  cause: "crash" | "stop";
  /** The agent was heard to work: what it did must not be done again. */
  worked: boolean;
}

/**
 * What becomes of a run whose attempt the server cut short, in one place:
 * - the agent had not begun to work: the attempt is made again as it was;
 * - it had, and its session can be gone on with: the next attempt goes on there;
 * - otherwise, or after too many crashes (the run may be what brings the server down): it fails.
 * @returns how the next attempt begins, or null when there is none
 */
export function afterInterruption(
  { engines, settings }: Pick<RunContext, "engines" | "settings">,
  run: RunRecord,
  { cause, worked }: Interruption,
): Pick<RunRecord, "resume" | "crashes"> | null {
  const crashes = run.crashes + (cause === "crash" ? 1 : 0);
  if (crashes > settings.maxRestarts || settings.maxRestarts === 0) return null;
  if (!worked) return { resume: run.resume, crashes };
  // Its engine may not be configured any more.
  const canResume = engines.ids.includes(run.engine) && engines.get(run.engine).capabilities.resume;
  if (run.session_id === null || !canResume) return null;
  const resume: Resume = {
    cause: "restart",
    session_id: run.session_id,
    prompt: buildContinuePrompt(),
    reply: null,
    auth: null,
  };
  return { resume, crashes };
}

/** What a run that was cut short for good is told to have failed of. */
export const interrupted = {
  code: "ORCHESTRATOR_RESTART_INTERRUPTED",
  message:
    "The server was stopped while the run was in progress, and it could not be gone on with. Send the job again.",
};
