import { z } from "zod";
import { defineFunction } from "../../../../../runtime/function.ts";
import { requestId } from "../../../../_shared/schemas.ts";
import { sendFile } from "../../../../_shared/send-file.ts";

export default defineFunction({
  summary: "Download one artifact",
  scope: "read",
  description: "Takes Range (one range), If-Range and If-None-Match.",
  tags: ["jobs"],
  params: requestId.extend({ path: z.string().max(4096) }),
  responses: {
    200: { description: "The file", mediaType: "*/*" },
    206: { description: "The part asked for", mediaType: "*/*" },
    304: { description: "Not changed" },
  },
  errors: [
    "JOB_NOT_FOUND",
    "RESULT_NOT_READY",
    "ARTIFACT_NOT_FOUND",
    "PATH_INVALID",
    "RANGE_NOT_SATISFIABLE",
  ],
  async handler({ params, request, services }) {
    return sendFile(request, await services.runs.artifact(params.request_id, params.path), params.path);
  },
});
