import { z } from "zod";
import { RunnerError } from "../../../../../lib/errors.ts";
import { loginMethodName } from "../../../../../lib/runs/index.ts";
import { type Caller, defineFunction, isAllowed } from "../../../../../runtime/function.ts";
import { replyAccepted, replyKey, requestId } from "../../../../_shared/schemas.ts";

const body = z.strictObject({
  mode: z.enum(["interaction", "auth"]).default("interaction"),
  interaction_id: z.int().min(1).optional().describe("Mode interaction: which question is answered."),
  response: z.unknown().optional().describe("Mode interaction: the answer, of any JSON type."),
  idempotency_key: replyKey,
  auth_session_id: z.string().max(64).optional().describe("Mode auth: which login a submission is for."),
  selection: z
    .strictObject({ kind: z.literal("auth_method"), value: loginMethodName })
    .optional()
    .describe("Mode auth: one of `available_methods`."),
  submission: z
    .strictObject({ kind: z.enum(["api_key", "retry"]), value: z.string().max(8192).default("") })
    .optional()
    .describe("Mode auth: a key for this job alone, or `retry` when somebody has logged in elsewhere."),
});

export default defineFunction({
  summary: "Answer what a job waits for",
  scope: "run",
  description:
    "Mode `interaction` answers its question. Mode `auth` selects a way to log its agent in, or hands in a key. The job goes back into the queue, past its bound. To select `device_code` needs a key with scope admin: it replaces the login of all jobs.",
  tags: ["jobs"],
  params: requestId,
  body,
  responses: { 200: { description: "The answer is durable and the job goes on", schema: replyAccepted } },
  errors: [
    "JOB_NOT_FOUND",
    "JOB_NOT_INTERACTIVE",
    "JOB_STATE_CONFLICT",
    "STALE_INTERACTION",
    "IDEMPOTENCY_CONFLICT",
    "REPLY_INVALID",
    "SHUTTING_DOWN",
  ],
  async handler({ params: { request_id }, body: reply, caller, services }) {
    const { mode, interaction_id, response, idempotency_key } = reply;
    if (mode === "auth") {
      const answer = loginAnswer(reply);
      if ("selection" in answer && answer.selection.value === "device_code") assertMayLogIn(caller);
      const status = await services.runs.answerLogin(request_id, answer);
      return { request_id, status, accepted: true, mode };
    }
    if (interaction_id === undefined) throw missing("/interaction_id");
    const isBlank = typeof response === "string" && response.trim() === "";
    if (response === undefined || response === null || isBlank) throw missing("/response");
    await services.runs.reply(request_id, { interaction_id, response, idempotency_key });
    return { request_id, status: "queued", accepted: true, mode };
  },
});

/** As for credential files: the CLI's own login is that of every job. */
function assertMayLogIn(caller: Caller): void {
  if (isAllowed(caller, "admin")) return;
  throw new RunnerError(
    "FORBIDDEN",
    `A login by device code is for all jobs, and needs a key with scope admin; "${caller?.name}" has ${caller?.scope}. Send a key for this job alone (submission api_key), or ask who has an admin key.`,
  );
}

function loginAnswer({ auth_session_id, selection, submission }: z.output<typeof body>) {
  if (selection !== undefined && submission === undefined) return { selection };
  if (submission === undefined || selection !== undefined) throw missing("/submission");
  if (auth_session_id === undefined) throw missing("/auth_session_id");
  return { auth_session_id, submission };
}

function missing(pointer: string): RunnerError {
  const message =
    pointer === "/submission"
      ? "Mode auth takes a selection or a submission, not both."
      : `${pointer.slice(1)} is missing.`;
  return new RunnerError("REQUEST_INVALID", message, { issues: [{ pointer, message }] });
}
