import { z } from "zod";
import { pendingAuth, runStatus } from "../../../../../lib/runs/index.ts";
import { defineFunction } from "../../../../../runtime/function.ts";
import { loginFor } from "../../../../_shared/login-for.ts";
import { requestId } from "../../../../_shared/schemas.ts";

const { phase, auth_method, challenge_kind, available_methods, timeout_sec, source_attempt } =
  pendingAuth.shape;
const text = z.string().nullable();

export default defineFunction({
  summary: "How far the login is that a job waits for",
  scope: "read",
  description:
    "`auth_url` and `user_code` are shown to keys with scope admin, who may begin such a login; null for others.",
  tags: ["jobs"],
  params: requestId,
  responses: {
    200: {
      description: "The login; all null when the job waits for none",
      schema: z.object({
        request_id: z.string(),
        status: runStatus,
        waiting_auth: z.boolean(),
        phase: phase.nullable(),
        available_methods,
        selected_method: auth_method,
        auth_session_id: text,
        provider_id: text,
        challenge_kind,
        auth_url: text,
        user_code: text,
        timeout_sec: timeout_sec.nullable(),
        created_at: text,
        expires_at: text,
        server_now: z.string(),
        last_error: text,
        source_attempt: source_attempt.nullable(),
        pending_owner: text,
      }),
    },
  },
  errors: ["JOB_NOT_FOUND"],
  async handler({ params, caller, services }) {
    return loginFor(caller, await services.runs.authSession(params.request_id));
  },
});
