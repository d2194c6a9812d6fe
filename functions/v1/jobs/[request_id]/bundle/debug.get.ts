import { defineFunction } from "../../../../../runtime/function.ts";
import { requestId } from "../../../../_shared/schemas.ts";
import { sendZip } from "../../../../_shared/send-zip.ts";

export default defineFunction({
  summary: "Everything about a job, as a zip: result, artifacts, uploads, logs, events, workspace",
  scope: "read",
  tags: ["jobs"],
  params: requestId,
  responses: {
    200: { description: "The zip; manifest.json says what is in it", mediaType: "application/zip" },
  },
  errors: ["JOB_NOT_FOUND", "RESULT_NOT_READY"],
  async handler({ params, services }) {
    return sendZip(await services.runs.bundle(params.request_id, "debug"), "run_bundle_debug.zip");
  },
});
