import { rm } from "node:fs/promises";
import { z } from "zod";
import { receiveMultipart } from "../../../../lib/archives/index.ts";
import { RunnerError } from "../../../../lib/errors.ts";
import { defineFunction } from "../../../../runtime/function.ts";
import { accepted, requestId } from "../../../_shared/schemas.ts";

export default defineFunction({
  summary: "Send a job its files, as one zip",
  description:
    "The paths in the zip are what the job's file inputs name. When the files fit, the job is queued.",
  tags: ["jobs"],
  params: requestId,
  multipart: { file: { description: "The zip (application/zip)." } },
  responses: {
    200: {
      description: "The files are in place",
      schema: z.object({ ...accepted.shape, extracted_files: z.array(z.string()) }),
    },
  },
  errors: [
    "JOB_NOT_FOUND",
    "JOB_STATE_CONFLICT",
    "UPLOAD_INVALID",
    "ARCHIVE_INVALID",
    "ARCHIVE_TOO_LARGE",
    "INPUT_INVALID",
    "SKILL_NOT_FOUND",
    "ENGINE_NOT_INSTALLED",
    "QUEUE_FULL",
    "SHUTTING_DOWN",
  ],
  async handler({ params, request, services }) {
    await services.runs.assertAwaitsUpload(params.request_id);
    const dir = await services.temporaryFolder();
    try {
      const { files } = await receiveMultipart(request, {
        dir,
        allowed: { files: ["file"], fields: [] },
        maxBytes: services.limits.maxUploadBytes,
        maxFiles: 1,
      });
      const [zip] = files;
      if (zip === undefined)
        throw new RunnerError("UPLOAD_INVALID", 'Send the zip as the multipart part "file".');
      return await services.runs.upload(params.request_id, zip.path, services.limits.upload);
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  },
});
