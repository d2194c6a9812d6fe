import { buildDecideYourselfPrompt } from "../skills/index.ts";
import type { RunContext } from "./context.ts";
import { runFailed } from "./finish.ts";
import { inHand, moveOn } from "./move-on.ts";
import type { RunRecord } from "./record.ts";
import { RunTaken } from "./run-store.ts";
import type { Scheduler } from "./scheduler.ts";
import { completeLogin, credentialsOf } from "./sign-in.ts";

/** What happens to runs that wait when nobody does anything: time runs out, or somebody logs in elsewhere. */
export interface Waiting {
  /** Minds a run that waits from now on. */
  watch(run: RunRecord): void;
  /** Forgets all of them: the next start minds them again. */
  stop(): void;
}

/** Milliseconds between two looks whether somebody has logged in. */
const lookEveryMs = 2_000;
/** Milliseconds until what could not be stored is tried again. */
const retryMs = 5_000;

export function createWaiting(context: RunContext, scheduler: Scheduler): Waiting {
  const timers = new Map<string, NodeJS.Timeout>();
  let stopped = false;

  function later(id: string, revision: number, ms: number): void {
    clearTimeout(timers.get(id));
    if (stopped) return;
    const timer = setTimeout(() => {
      timers.delete(id);
      context
        .locked(id, () => look(id, revision))
        .catch((error: unknown) => {
          // Another server was first.
          if (error instanceof RunTaken) return;
          context.log.error({ err: error, run: id }, "a waiting run could not be minded; trying again");
          later(id, revision, retryMs);
        });
    }, ms);
    timers.set(id, timer);
    timer.unref();
  }

  async function look(id: string, revision: number): Promise<void> {
    if (!context.accepting()) return;
    const run = await context.store.get(id).catch(() => null);
    // It has moved on, or is gone.
    if (run === null || run.revision !== revision) return;
    const due = dueAt(run);
    if (due !== null && due <= Date.now()) return timeIsUp(run);
    if (run.status === "waiting_auth" && (await loggedIn(run))) {
      return completeLogin(context, scheduler, run, null);
    }
    later(id, revision, nextLook(run, isOurs(run)));
  }

  // Logins of another server are no news of this run's.
  function isOurs({ node }: RunRecord): boolean {
    return node === context.node;
  }

  async function loggedIn(run: RunRecord): Promise<boolean> {
    return (
      isOurs(run) &&
      run.credentials_seen !== null &&
      (await credentialsOf(context, run)) !== run.credentials_seen
    );
  }

  async function timeIsUp(run: RunRecord): Promise<void> {
    if (run.pending_auth && run.resume) {
      const { timeout_sec, auth_session_id } = run.pending_auth;
      const resume = { ...run.resume, auth: { auth_session_id, method: null } };
      const message = `Nobody logged in to ${run.engine} within ${timeout_sec} s. Log in, or give it a valid key, and send the job again.`;
      return inHand(context, scheduler, run, (progress) =>
        runFailed(context, progress, { code: "AUTH_REQUIRED", message }, { trigger: "auth.failed", resume }),
      );
    }
    if (!run.pending) return;
    const { interaction_id } = run.pending;
    return moveOn(context, scheduler, run, "interaction.auto_decide.timeout", {
      pending: null,
      auto_decision_count: run.auto_decision_count + 1,
      last_auto_decision_at: new Date().toISOString(),
      resume: {
        cause: "auto_decide",
        session_id: run.session_id,
        prompt: buildDecideYourselfPrompt(),
        reply: { interaction_id, response: null, files: [] },
        auth: null,
      },
    });
  }

  return {
    watch(run) {
      const ms = nextLook(run, isOurs(run));
      if (Number.isFinite(ms)) later(run.request_id, run.revision, ms);
    },
    stop() {
      stopped = true;
      for (const timer of timers.values()) clearTimeout(timer);
      timers.clear();
    },
  };
}

/** When a run has waited long enough; null: never. */
function dueAt({ pending, pending_auth }: RunRecord): number | null {
  const at = pending_auth?.expires_at ?? pending?.expires_at ?? null;
  return at === null ? null : Date.parse(at);
}

/** Milliseconds until a waiting run is looked at; Infinity: not at all. */
function nextLook(run: RunRecord, minded: boolean): number {
  const due = dueAt(run);
  const left = due === null ? Number.POSITIVE_INFINITY : Math.max(0, due - Date.now());
  return minded && run.status === "waiting_auth" ? Math.min(left, lookEveryMs) : left;
}
