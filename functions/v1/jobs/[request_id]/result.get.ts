import { z } from "zod";
import { runResult } from "../../../../lib/runs/index.ts";
import { defineFunction } from "../../../../runtime/function.ts";
import { requestId } from "../../../_shared/schemas.ts";

export default defineFunction({
  summary: "A job's result",
  scope: "read",
  description: "409 RESULT_NOT_READY until the job has ended.",
  tags: ["jobs"],
  params: requestId,
  responses: {
    200: {
      description: "What it answered, or why it did not",
      schema: z.object({ request_id: z.string(), result: runResult }),
    },
  },
  errors: ["JOB_NOT_FOUND", "RESULT_NOT_READY"],
  async handler({ params: { request_id }, services }) {
    return { request_id, result: await services.runs.result(request_id) };
  },
});
