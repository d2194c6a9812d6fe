import { defineFunction } from "../../../../runtime/function.ts";
import { requestId } from "../../../_shared/schemas.ts";

export default defineFunction({
  summary: "Delete a job that has ended, with all its files",
  scope: "run",
  tags: ["jobs"],
  params: requestId,
  status: 204,
  responses: { 204: { description: "Gone" } },
  errors: ["JOB_NOT_FOUND", "JOB_STATE_CONFLICT"],
  async handler({ params, services }) {
    await services.runs.remove(params.request_id);
  },
});
