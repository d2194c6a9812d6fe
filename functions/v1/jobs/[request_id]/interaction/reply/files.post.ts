import { z } from "zod";
import { receiveMultipart } from "../../../../../../lib/archives/index.ts";
import { RunnerError } from "../../../../../../lib/errors.ts";
import { parseJson } from "../../../../../../lib/json.ts";
import { defineFunction } from "../../../../../../runtime/function.ts";
import { replyAccepted, replyKey, requestId } from "../../../../../_shared/schemas.ts";

const metadata = z.strictObject({
  interaction_id: z.int().min(1),
  idempotency_key: replyKey,
  message: z
    .string()
    .max(32_768)
    .nullish()
    .transform((value) => value ?? null),
  bindings: z.array(z.strictObject({ slot: z.string().min(1).max(200), file_index: z.int().min(0) })).max(64),
});

export default defineFunction({
  summary: "Answer a job's question with files",
  scope: "run",
  description:
    "`metadata` is JSON: `{interaction_id, idempotency_key?, message?, bindings: [{slot, file_index}]}`. The slots are the question's `ui_hints.files[].name`; `file_index` counts the parts called `files` from 0.",
  tags: ["jobs"],
  params: requestId,
  multipart: {
    metadata: { description: "JSON text." },
    files: { description: "One part for each file." },
  },
  responses: { 200: { description: "The files are in place and the job goes on", schema: replyAccepted } },
  errors: [
    "JOB_NOT_FOUND",
    "JOB_NOT_INTERACTIVE",
    "JOB_STATE_CONFLICT",
    "STALE_INTERACTION",
    "IDEMPOTENCY_CONFLICT",
    "UPLOAD_INVALID",
    "REPLY_INVALID",
    "SHUTTING_DOWN",
  ],
  async handler({ params: { request_id }, request, services }) {
    await services.runs.assertAwaitsReply(request_id);
    return services.inTemporaryFolder(async (dir) => {
      const { replyFiles: limits } = services.limits;
      const form = await receiveMultipart(request, {
        dir,
        allowed: { files: ["files"], fields: ["metadata"], repeated: ["files"] },
        maxBytes: limits.maxTotalBytes + 1024 * 1024,
        maxFiles: limits.maxFiles,
        maxFileBytes: limits.maxFileBytes,
        maxTotalFileBytes: limits.maxTotalBytes,
      });
      const files = form.files.map(({ path, filename, bytes }) => ({ path, name: filename, bytes }));
      await services.runs.replyWithFiles(request_id, { ...readMetadata(form.fields.metadata), files });
      return { request_id, status: "queued", accepted: true, mode: "interaction" };
    });
  },
});

/** @throws RunnerError REPLY_INVALID */
function readMetadata(text: string | undefined): z.output<typeof metadata> {
  const parsed = metadata.safeParse(text === undefined ? undefined : parseJson(text));
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map(({ path, message }) => ({
    pointer: `/${["metadata", ...path].join("/")}`,
    message,
  }));
  throw new RunnerError("REPLY_INVALID", "The part metadata is not as documented.", { issues });
}
