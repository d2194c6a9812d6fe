import { z } from "zod";
import { defineFunction } from "../../../../runtime/function.ts";
import { requestId } from "../../../_shared/schemas.ts";

const entry = z.object({
  path: z.string(),
  name: z.string(),
  is_dir: z.boolean(),
  depth: z.int(),
  bytes: z.int().nullable(),
});

export default defineFunction({
  summary: "The job's workspace as a tree",
  scope: "read",
  tags: ["jobs"],
  params: requestId,
  responses: {
    200: {
      description: "Folders before what is in them",
      schema: z.object({ request_id: z.string(), entries: z.array(entry), truncated: z.boolean() }),
    },
  },
  errors: ["JOB_NOT_FOUND"],
  async handler({ params: { request_id }, services }) {
    return { request_id, ...(await services.runs.files(request_id)) };
  },
});
