import { defineFunction } from "../../../../../runtime/function.ts";
import { requestId } from "../../../../_shared/schemas.ts";
import { sendZip } from "../../../../_shared/send-zip.ts";

export default defineFunction({
  summary: "A job's result and artifacts, as a zip",
  scope: "read",
  tags: ["jobs"],
  params: requestId,
  responses: {
    200: { description: "The zip; manifest.json says what is in it", mediaType: "application/zip" },
  },
  errors: ["JOB_NOT_FOUND", "RESULT_NOT_READY"],
  async handler({ params, services }) {
    return sendZip(await services.runs.bundle(params.request_id, "result"), "run_bundle.zip");
  },
});
