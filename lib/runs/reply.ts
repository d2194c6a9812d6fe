import { RunnerError } from "../errors.ts";
import type { RunContext } from "./context.ts";
import type { PendingInteraction, ReplyFile } from "./interaction.ts";
import { moveOn } from "./move-on.ts";
import type { RunRecord } from "./record.ts";
import { canonicalJson } from "./result-cache.ts";
import type { Scheduler } from "./scheduler.ts";
import { sha256 } from "./sha256.ts";
import { assertAccepting } from "./submit.ts";

/** An answer to what a run asked. */
export interface Reply {
  interaction_id: number;
  response: unknown;
  idempotency_key: string | null;
}

/** What a reply comes to: the text for the agent, and what everybody may see of its files. */
interface Told {
  prompt: string;
  files: ReplyFile[];
}

/**
 * Gives a waiting run its answer and takes it back into the queue. The caller holds the run's lock. Under an idempotency
 * key that was used for the same reply, nothing happens a second time.
 * @param content what the reply consists of beside its response, for telling two replies apart
 * @param tell makes the text for the agent; called when the reply is going to be taken, and may store files
 * @throws RunnerError JOB_NOT_INTERACTIVE, JOB_STATE_CONFLICT, STALE_INTERACTION, IDEMPOTENCY_CONFLICT, SHUTTING_DOWN
 */
export async function takeReply(
  context: RunContext,
  scheduler: Scheduler,
  id: string,
  reply: Reply,
  content: unknown,
  tell: (pending: PendingInteraction) => Promise<Told>,
): Promise<void> {
  assertAccepting(context);
  const run = await context.store.get(id);
  const { interaction_id, idempotency_key, response } = reply;
  const fingerprint = sha256(canonicalJson({ interaction_id, response, content }));
  if (wasTaken(run, reply, fingerprint)) return;
  const pending = pendingOf(run, interaction_id);
  const { prompt, files } = await tell(pending);
  await moveOn(context, scheduler, run, "interaction.reply.accepted", {
    pending: null,
    resume: {
      cause: "reply",
      session_id: run.session_id,
      prompt,
      reply: { interaction_id, response, files },
      auth: null,
    },
    ...(idempotency_key === null
      ? {}
      : { replies: [...run.replies, { interaction_id, idempotency_key, fingerprint }] }),
  });
}

/** What an agent is told of a response: a text as it is, anything else as JSON. */
export function replyText(response: unknown): string {
  return typeof response === "string" ? response : JSON.stringify(response);
}

function wasTaken(run: RunRecord, { idempotency_key }: Reply, fingerprint: string): boolean {
  const earlier = run.replies.find((taken) => taken.idempotency_key === idempotency_key);
  if (earlier === undefined) return false;
  if (earlier.fingerprint === fingerprint) return true;
  throw new RunnerError(
    "IDEMPOTENCY_CONFLICT",
    "This idempotency key was used for another reply. Take a new key for a new reply.",
  );
}

/**
 * The question of a run that a reply may be given to.
 * @throws RunnerError JOB_NOT_INTERACTIVE, JOB_STATE_CONFLICT, STALE_INTERACTION
 */
export function pendingOf(run: RunRecord, interactionId: number): PendingInteraction {
  if (run.runtime_options.execution_mode !== "interactive") {
    throw new RunnerError(
      "JOB_NOT_INTERACTIVE",
      'The job takes no replies: it was not sent with runtime_options.execution_mode "interactive".',
    );
  }
  if (run.conversation_mode === "non_session") {
    throw new RunnerError(
      "JOB_NOT_INTERACTIVE",
      'The job takes no replies: it was sent with client_metadata.conversation_mode "non_session".',
    );
  }
  const { pending } = run;
  if (run.status !== "waiting_user" || pending === null) {
    throw new RunnerError("JOB_STATE_CONFLICT", `The job waits for no answer: it is ${run.status}.`);
  }
  if (pending.interaction_id === interactionId) return pending;
  throw new RunnerError(
    "STALE_INTERACTION",
    `The job waits for the answer to interaction ${pending.interaction_id}, not ${interactionId}. Ask for the pending one again.`,
  );
}
