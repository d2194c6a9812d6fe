import { streamZip } from "../../../../../lib/archives/index.ts";
import { defineFunction } from "../../../../../runtime/function.ts";
import { requestId } from "../../../../_shared/schemas.ts";

export default defineFunction({
  summary: "A job's result and artifacts, as a zip",
  tags: ["jobs"],
  params: requestId,
  responses: {
    200: { description: "The zip; manifest.json says what is in it", mediaType: "application/zip" },
  },
  errors: ["JOB_NOT_FOUND", "RESULT_NOT_READY"],
  async handler({ params, services }) {
    const zip = streamZip(await services.runs.bundle(params.request_id, "result"));
    return new Response(zip, {
      headers: {
        "content-type": "application/zip",
        "content-disposition": 'attachment; filename="run_bundle.zip"',
      },
    });
  },
});
