import { importCredentials, keyVariable } from "../agents/index.ts";
import { RunnerError } from "../errors.ts";
import type { PendingAuth } from "./auth-challenge.ts";
import type { RunContext } from "./context.ts";
import type { DeviceLogins } from "./device-logins.ts";
import { inHand } from "./move-on.ts";
import type { RunRecord } from "./record.ts";
import type { UploadedFile } from "./reply-files.ts";
import type { Scheduler } from "./scheduler.ts";
import { completeLogin, tellChallenge } from "./sign-in.ts";
import { assertAccepting } from "./submit.ts";

/** What a caller does about the login that a job waits for. */
export type LoginAnswer =
  | { selection: { kind: "auth_method"; value: string } }
  | { auth_session_id: string; submission: { kind: "api_key" | "retry"; value: string } };

/** Takes what people do to log a waiting run's agent in. The caller holds the run's lock. */
export interface LoginDesk {
  /** @throws RunnerError JOB_STATE_CONFLICT, SHUTTING_DOWN when the job waits for no login: ask before a body is read. */
  assertAwaited(id: string): Promise<void>;
  /** @throws RunnerError JOB_STATE_CONFLICT, STALE_INTERACTION, REPLY_INVALID, SHUTTING_DOWN */
  answer(id: string, answer: LoginAnswer): Promise<"queued" | "waiting_auth">;
  /**
   * Puts credential files where the CLI looks for them: for this run and every one after.
   * @throws RunnerError JOB_STATE_CONFLICT, CREDENTIALS_INVALID, SHUTTING_DOWN
   */
  importFiles(id: string, files: readonly UploadedFile[]): Promise<string[]>;
}

export function createLoginDesk(
  context: RunContext,
  scheduler: Scheduler,
  deviceLogins: DeviceLogins,
): LoginDesk {
  const awaited = async (id: string): Promise<{ run: RunRecord; auth: PendingAuth }> => {
    assertAccepting(context);
    const run = await context.store.get(id);
    const { pending_auth: auth } = run;
    if (run.status === "waiting_auth" && auth !== null) return { run, auth };
    throw new RunnerError("JOB_STATE_CONFLICT", `The job waits for no login: it is ${run.status}.`);
  };

  /** For this run alone: its secrets go with its end. */
  async function takeKey(run: RunRecord, value: string): Promise<void> {
    const variable = keyVariable(context.engines.get(run.engine), run.provider_id);
    if (variable === null) throw invalid(`The ${run.engine} CLI takes no key.`, "/submission/kind");
    if (value.trim() === "") throw invalid("The key is empty.", "/submission/value");
    // No environment takes a NUL, and no key has any of the others.
    if (/\p{Cc}/u.test(value.trim())) throw invalid("The key holds control characters.", "/submission/value");
    const env = await context.secrets.read(run.request_id);
    await context.secrets.keep(run.request_id, { ...env, [variable]: value.trim() });
  }

  async function select(run: RunRecord, auth: PendingAuth, wanted: string): Promise<void> {
    const method = auth.available_methods.find((candidate) => candidate.method === wanted);
    if (method === undefined) {
      const known = auth.available_methods.map((candidate) => candidate.method).join(", ");
      throw invalid(`There is no such way to log in. Known: ${known}.`, "/selection/value");
    }
    const pending_auth: PendingAuth = {
      ...auth,
      phase: "challenge_active",
      auth_url: null,
      user_code: null,
      last_error: null,
      auth_method: method.method,
      challenge_kind: method.method,
      instructions: method.instructions,
      input_kind: method.method === "api_key" ? "api_key" : method.method === "import_files" ? "files" : null,
      accepts_chat_input: method.method === "api_key",
    };
    await inHand(context, scheduler, run, (progress) => tellChallenge(progress, pending_auth));
    // The run's lock is held: it could not speak up in between.
    deviceLogins.end(run.request_id);
    if (method.method === "device_code") deviceLogins.start(run, pending_auth);
  }

  async function tellAccepted(run: RunRecord, auth_session_id: string, kind: string): Promise<void> {
    await inHand(context, scheduler, run, async (progress) =>
      progress.tell({ type: "auth.input.accepted", data: { auth_session_id, kind } }),
    );
  }

  return {
    async assertAwaited(id) {
      await awaited(id);
    },
    async answer(id, answer) {
      const { run, auth } = await awaited(id);
      if ("selection" in answer) {
        await select(run, auth, answer.selection.value);
        return "waiting_auth";
      }
      if (answer.auth_session_id !== auth.auth_session_id) {
        throw new RunnerError(
          "STALE_INTERACTION",
          "The job waits for another login by now. Ask for the pending one again.",
        );
      }
      const { kind, value } = answer.submission;
      if (kind === "api_key") await takeKey(run, value);
      await tellAccepted(run, auth.auth_session_id, kind);
      await completeLogin(context, scheduler, run, kind === "api_key" ? "api_key" : null);
      return "queued";
    },
    async importFiles(id, files) {
      const { run, auth } = await awaited(id);
      const agent = context.engines.get(run.engine);
      const named = files.map(({ path, name, bytes }) => ({ path, name: name ?? "", bytes }));
      const written = await importCredentials(agent, context.serverEnvironment, named);
      await tellAccepted(run, auth.auth_session_id, "import_files");
      await completeLogin(context, scheduler, run, "import_files");
      return written;
    },
  };
}

function invalid(message: string, pointer: string): RunnerError {
  return new RunnerError("REPLY_INVALID", message, { issues: [{ pointer, message }] });
}
