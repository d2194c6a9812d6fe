import { z } from "zod";
import { defineFunction } from "../../../../../runtime/function.ts";
import { requestId } from "../../../../_shared/schemas.ts";

const detail = z.object({ path: z.string(), role: z.string().nullable(), bytes: z.int() });

export default defineFunction({
  summary: "The files a job made",
  scope: "read",
  tags: ["jobs"],
  params: requestId,
  responses: {
    200: {
      description: "Paths for GET .../artifacts/{path}",
      schema: z.object({
        request_id: z.string(),
        artifacts: z.array(z.string()),
        artifact_details: z.array(detail),
      }),
    },
  },
  errors: ["JOB_NOT_FOUND", "RESULT_NOT_READY"],
  async handler({ params: { request_id }, services }) {
    const { artifacts, artifact_details } = await services.runs.result(request_id);
    return { request_id, artifacts, artifact_details };
  },
});
