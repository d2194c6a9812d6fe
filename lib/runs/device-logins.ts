import { agentEnvironment, startDeviceLogin } from "../agents/index.ts";
import { type PendingAuth, unselected } from "./auth-challenge.ts";
import type { RunContext } from "./context.ts";
import { inHand } from "./move-on.ts";
import { runPaths } from "./paths.ts";
import type { RunRecord } from "./record.ts";
import { redact, secretsOf } from "./redactor.ts";
import type { Scheduler } from "./scheduler.ts";
import { completeLogin, tellChallenge } from "./sign-in.ts";

/** Logins by device code that runs wait for: the CLI's own, each a process that polls until somebody has confirmed. */
export interface DeviceLogins {
  /** Starts the login of a waiting run, in place of one that is under way. Its challenge is told when the CLI has it. */
  start(run: RunRecord, auth: PendingAuth): void;
  /** Ends the one of a run, if there is one: another way was selected. */
  end(id: string): void;
  /** Ends all of them. */
  stop(): void;
}

export function createDeviceLogins(context: RunContext, scheduler: Scheduler): DeviceLogins {
  const underWay = new Map<string, AbortController>();

  async function carryOut(run: RunRecord, auth: PendingAuth, controller: AbortController): Promise<void> {
    const { request_id: id } = run;
    const agent = context.engines.get(run.engine);
    const installation = await context.engines.installed(run.engine);
    const environment = agentEnvironment(agent, {
      server: context.serverEnvironment,
      npmPrefix: context.npmPrefix,
      runId: id,
      temporaryFolder: runPaths(context.dataDir, id).temporary,
      extra: {},
    });
    const login = startDeviceLogin(agent, {
      executable: installation.path,
      environment,
      signal: controller.signal,
      timeoutMs: Math.max(0, Date.parse(auth.expires_at) - Date.now()),
    });
    const challenge = await login.challenge;
    await ifAwaited(id, auth, controller.signal, (now, awaited) =>
      amend(now, { ...awaited, ...challenge, last_error: null }),
    );
    const { ok, error } = await login.done;
    const words = error ?? "The login was not completed.";
    if (!ok) throw new Error(redact(words, secretsOf(environment, agent.keyVariables)));
    await ifAwaited(id, auth, controller.signal, (now) =>
      completeLogin(context, scheduler, now, "device_code"),
    );
  }

  /** Under the run's lock, and only while it waits for this very login and nobody has ended it. */
  async function ifAwaited(
    id: string,
    auth: PendingAuth,
    signal: AbortSignal,
    act: (run: RunRecord, awaited: PendingAuth) => Promise<void>,
  ) {
    await context.locked(id, async () => {
      const run = await context.store.get(id);
      const { pending_auth } = run;
      if (!signal.aborted && pending_auth?.auth_session_id === auth.auth_session_id)
        await act(run, pending_auth);
    });
  }

  const amend = (run: RunRecord, auth: PendingAuth) =>
    inHand(context, scheduler, run, (progress) => tellChallenge(progress, auth));

  return {
    start(run, auth) {
      const { request_id: id } = run;
      underWay.get(id)?.abort();
      const controller = new AbortController();
      underWay.set(id, controller);
      const moved = ({ pending_auth }: RunRecord) => pending_auth?.auth_session_id !== auth.auth_session_id;
      // Whatever else takes the run on (a key, files, a cancel, its time) ends the login.
      void context.store
        .until(id, moved, controller.signal)
        .catch(() => null)
        .finally(() => controller.abort());
      carryOut(run, auth, controller)
        .catch(async (error: unknown) => {
          if (controller.signal.aborted) return;
          const last_error = error instanceof Error ? error.message : String(error);
          await ifAwaited(id, auth, controller.signal, (now, awaited) =>
            amend(now, unselected(awaited, last_error)),
          );
        })
        .catch((error: unknown) => context.log.error({ err: error, run: id }, "a login could not be told of"))
        .finally(() => {
          controller.abort();
          if (underWay.get(id) === controller) underWay.delete(id);
        });
    },
    end: (id) => underWay.get(id)?.abort(),
    stop() {
      for (const controller of underWay.values()) controller.abort();
    },
  };
}
