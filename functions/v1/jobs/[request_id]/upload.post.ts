import { z } from "zod";
import { receiveMultipart } from "../../../../lib/archives/index.ts";
import { RunnerError } from "../../../../lib/errors.ts";
import { defineFunction } from "../../../../runtime/function.ts";
import { answerJob } from "../../../_shared/prefer-wait.ts";
import { requestId, settled } from "../../../_shared/schemas.ts";

const answer = z.object({ ...settled.shape, extracted_files: z.array(z.string()) });

export default defineFunction({
  summary: "Send a job its files, and a temporary skill's job its skill",
  scope: "run",
  description:
    "The paths in the zip `file` are what the job's file inputs name. `skill_package` is the zip of a temporary skill's package. When all fits, the job is queued. With `Prefer: wait=N` the answer comes when the job has ended, with its result.",
  tags: ["jobs"],
  params: requestId,
  multipart: {
    file: { description: "Zip of the input files.", optional: true },
    skill_package: { description: "Zip of the skill's package, for a temporary skill.", optional: true },
  },
  responses: {
    200: { description: "The files are in place", schema: answer },
    202: { description: "The wait is over, the job is not", schema: answer },
  },
  errors: [
    "JOB_NOT_FOUND",
    "JOB_STATE_CONFLICT",
    "UPLOAD_INVALID",
    "ARCHIVE_INVALID",
    "ARCHIVE_TOO_LARGE",
    "INPUT_INVALID",
    "PARAMETER_INVALID",
    "OPTION_INVALID",
    "SKILL_NOT_FOUND",
    "SKILL_INVALID",
    "SKILL_ENGINE_UNSUPPORTED",
    "SKILL_EXECUTION_MODE_UNSUPPORTED",
    "ENGINE_NOT_INSTALLED",
    "SANDBOX_REQUIRED",
    "QUEUE_FULL",
    "SHUTTING_DOWN",
  ],
  async handler({ params, request, caller, services }) {
    await services.runs.assertAwaitsUpload(params.request_id);
    return services.inTemporaryFolder(async (dir) => {
      const { maxUploadBytes, tempSkillPackageBytes, upload } = services.limits;
      const { files } = await receiveMultipart(request, {
        dir,
        allowed: { files: ["file", "skill_package"], fields: [] },
        maxBytes: maxUploadBytes,
        maxFiles: 2,
      });
      const part = (name: string) => files.find(({ field }) => field === name) ?? null;
      const skillPackage = part("skill_package");
      if (skillPackage !== null && skillPackage.bytes > tempSkillPackageBytes) {
        throw new RunnerError(
          "BODY_TOO_LARGE",
          `The skill's package is larger than ${tempSkillPackageBytes} bytes.`,
        );
      }
      const archives = { file: part("file")?.path ?? null, skill_package: skillPackage?.path ?? null };
      const made = await services.runs.upload(params.request_id, archives, upload);
      return await answerJob(request, services.runs, made, caller);
    });
  },
});
