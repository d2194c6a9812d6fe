import { z } from "zod";
import { defineFunction } from "../../../../../runtime/function.ts";
import { requestId } from "../../../../_shared/schemas.ts";

export default defineFunction({
  summary: "Prompt and output of a job's last turn, or of the one named",
  scope: "read",
  description: "Each text shows at most its last MiB; `truncated` names those that were longer.",
  tags: ["jobs"],
  params: requestId,
  query: z.strictObject({ turn: z.coerce.number().int().min(1).max(10_000).optional() }),
  responses: {
    200: {
      description: "The logs",
      schema: z.object({
        request_id: z.string(),
        turn: z.int(),
        turns: z.int(),
        prompt: z.string(),
        stdout: z.string(),
        stderr: z.string(),
        truncated: z.array(z.string()),
      }),
    },
  },
  errors: ["JOB_NOT_FOUND"],
  async handler({ params: { request_id }, query, services }) {
    return { request_id, ...(await services.runs.logs(request_id, query.turn)) };
  },
});
