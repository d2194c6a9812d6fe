import { defineFunction } from "../../../../../runtime/function.ts";
import { pendingView, requestId } from "../../../../_shared/schemas.ts";

export default defineFunction({
  summary: "What a job waits for",
  scope: "read",
  description: "A question (`pending`), a login (`pending_auth`), or neither.",
  tags: ["jobs"],
  params: requestId,
  responses: { 200: { description: "What it waits for", schema: pendingView } },
  errors: ["JOB_NOT_FOUND"],
  handler: ({ params, services }) => services.runs.pending(params.request_id),
});
