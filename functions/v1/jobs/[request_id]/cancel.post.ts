import { z } from "zod";
import { runStatus } from "../../../../lib/runs/index.ts";
import { defineFunction } from "../../../../runtime/function.ts";
import { requestId } from "../../../_shared/schemas.ts";

export default defineFunction({
  summary: "Cancel a job",
  scope: "run",
  description:
    "Answers when the job has ended and its processes are gone. A job that had ended before is left as it is.",
  tags: ["jobs"],
  params: requestId,
  responses: {
    200: {
      description: "What became of it",
      schema: z.object({
        request_id: z.string(),
        run_id: z.string(),
        status: runStatus,
        accepted: z.boolean(),
        message: z.string(),
      }),
    },
  },
  errors: ["JOB_NOT_FOUND"],
  async handler({ params: { request_id }, services }) {
    return { request_id, run_id: request_id, ...(await services.runs.cancel(request_id)) };
  },
});
