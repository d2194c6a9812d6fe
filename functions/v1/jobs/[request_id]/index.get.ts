import { defineFunction } from "../../../../runtime/function.ts";
import { jobStatus, requestId } from "../../../_shared/schemas.ts";

export default defineFunction({
  summary: "A job's status",
  scope: "read",
  tags: ["jobs"],
  params: requestId,
  responses: { 200: { description: "The job", schema: jobStatus } },
  errors: ["JOB_NOT_FOUND"],
  handler: ({ params, services }) => services.runs.status(params.request_id),
});
