import { z } from "zod";
import { receiveMultipart } from "../../../lib/archives/index.ts";
import { RunnerError } from "../../../lib/errors.ts";
import { defineFunction } from "../../../runtime/function.ts";

export default defineFunction({
  summary: "Install a skill package, or a newer version of one",
  scope: "admin",
  description:
    "The zip has exactly one folder at its top, named like the skill. It is checked and put in place in the background: watch it with GET /v1/skill-packages/{request_id}.",
  tags: ["skills"],
  multipart: { file: { description: "The package as a zip (application/zip)." } },
  responses: {
    200: {
      description: "It is queued",
      schema: z.object({ request_id: z.string(), status: z.literal("queued") }),
    },
  },
  errors: ["UPLOAD_INVALID", "QUEUE_FULL", "SHUTTING_DOWN"],
  async handler({ request, services }) {
    services.skillPackages.assertAccepting();
    return services.inTemporaryFolder(async (dir) => {
      const { files } = await receiveMultipart(request, {
        dir,
        allowed: { files: ["file"], fields: [] },
        maxBytes: services.limits.maxUploadBytes,
        maxFiles: 1,
      });
      const [zip] = files;
      if (zip === undefined)
        throw new RunnerError("UPLOAD_INVALID", 'Send the zip as the multipart part "file".');
      const { request_id, status } = await services.skillPackages.install(zip.path);
      return { request_id, status };
    });
  },
});
