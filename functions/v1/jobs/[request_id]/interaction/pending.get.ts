import { defineFunction } from "../../../../../runtime/function.ts";
import { loginFor } from "../../../../_shared/login-for.ts";
import { pendingView, requestId } from "../../../../_shared/schemas.ts";

export default defineFunction({
  summary: "What a job waits for",
  scope: "read",
  description:
    "A question (`pending`), a login (`pending_auth`), or neither. The page and code of a login are shown to keys with scope admin alone.",
  tags: ["jobs"],
  params: requestId,
  responses: { 200: { description: "What it waits for", schema: pendingView } },
  errors: ["JOB_NOT_FOUND"],
  async handler({ params, caller, services }) {
    const {
      pending_auth,
      pending_auth_method_selection: selection,
      ...rest
    } = await services.runs.pending(params.request_id);
    return {
      ...rest,
      pending_auth: pending_auth && loginFor(caller, pending_auth),
      pending_auth_method_selection: selection && loginFor(caller, selection),
    };
  },
});
