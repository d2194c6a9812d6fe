import { z } from "zod";
import { receiveMultipart } from "../../../../../../lib/archives/index.ts";
import { defineFunction } from "../../../../../../runtime/function.ts";
import { replyAccepted, requestId } from "../../../../../_shared/schemas.ts";

/** Credential files are small; the bound of each is the agents' own. */
const maxFiles = 8;
const maxFileBytes = 1024 * 1024;

export default defineFunction({
  summary: "Log a waiting job's agent in with credential files",
  scope: "admin",
  description:
    "The files that `available_methods` names. They are put where the CLI looks for them, for this job and every one after.",
  tags: ["jobs"],
  params: requestId,
  multipart: {
    provider_id: { description: "Taken for older clients; not needed." },
    files: { description: "One part for each file, with its name." },
  },
  responses: {
    200: {
      description: "The files are in place and the job goes on",
      schema: z.object({ ...replyAccepted.shape, imported_files: z.array(z.string()) }),
    },
  },
  errors: [
    "JOB_NOT_FOUND",
    "JOB_STATE_CONFLICT",
    "UPLOAD_INVALID",
    "CREDENTIALS_INVALID",
    "STORAGE_FAILED",
    "SHUTTING_DOWN",
  ],
  async handler({ params: { request_id }, request, services }) {
    await services.runs.assertAwaitsLogin(request_id);
    return services.inTemporaryFolder(async (dir) => {
      const form = await receiveMultipart(request, {
        dir,
        allowed: { files: ["files"], fields: ["provider_id"], repeated: ["files"] },
        maxBytes: (maxFiles + 1) * maxFileBytes,
        maxFiles,
        maxFileBytes,
      });
      const files = form.files.map(({ path, filename, bytes }) => ({ path, name: filename, bytes }));
      const imported_files = await services.runs.importCredentials(request_id, files);
      return { request_id, status: "queued", accepted: true, mode: "auth", imported_files };
    });
  },
});
