import { z } from "zod";
import { runtimeOptions } from "../../../lib/runs/index.ts";
import { defineFunction } from "../../../runtime/function.ts";
import { idempotencyKey } from "../../_shared/idempotency-key.ts";
import { answerJob } from "../../_shared/prefer-wait.ts";
import { settled } from "../../_shared/schemas.ts";

const name = z.string().min(1).max(200);
const object = z.record(z.string(), z.unknown());

const body = z.strictObject({
  skill_source: z
    .enum(["installed", "temp_upload"])
    .default("installed")
    .describe("temp_upload: the skill's package comes with the upload and is this job's alone."),
  skill_id: z
    .union([name, z.literal("")])
    .nullish()
    .transform((value) => (value === "" ? null : (value ?? null)))
    .describe("Which skill to run; GET /v1/skills lists them. Left out for a temporary one."),
  engine: name.default("codex"),
  input: object
    .default({})
    .describe("Business data, by the skill's input schema. File inputs name a path in the upload."),
  parameter: object.default({}).describe("Settings, by the skill's parameter schema."),
  model: name
    .nullish()
    .transform((value) => value ?? null)
    .describe("Also `provider/model@effort` and its shorter forms."),
  provider_id: name.nullish().transform((value) => value ?? null),
  effort: name.nullish().transform((value) => value ?? null),
  // Checked by the lib after the skill's own defaults are merged in; declared here for the document.
  runtime_options: object.default({}).meta({ override: z.toJSONSchema(runtimeOptions, { io: "input" }) }),
  client_metadata: z
    .looseObject({ conversation_mode: z.enum(["session", "non_session"]).default("session") })
    .default({ conversation_mode: "session" }),
});

export default defineFunction({
  summary: "Run a skill",
  scope: "run",
  description:
    "Checks the request, then queues the job. A skill with file inputs, and a temporary skill, waits for its files (`status: null`): send them to POST /v1/jobs/{request_id}/upload. With `Idempotency-Key`, the same request makes one job however often it is sent. With `Prefer: wait=N`, the answer comes when the job has ended, with its result, or after N seconds.",
  tags: ["jobs"],
  body,
  responses: {
    200: { description: "The job exists and is durable", schema: settled },
    202: { description: "The wait is over, the job is not", schema: settled },
  },
  errors: [
    "SKILL_NOT_FOUND",
    "SKILL_INVALID",
    "ENGINE_NOT_FOUND",
    "SKILL_ENGINE_UNSUPPORTED",
    "SKILL_EXECUTION_MODE_UNSUPPORTED",
    "MODEL_INVALID",
    "OPTION_INVALID",
    "INPUT_INVALID",
    "PARAMETER_INVALID",
    "ENGINE_NOT_INSTALLED",
    "SANDBOX_REQUIRED",
    "IDEMPOTENCY_KEY_REUSED",
    "QUEUE_FULL",
    "SHUTTING_DOWN",
  ],
  async handler({ body: { client_metadata, ...asked }, request, caller, services }) {
    const job = { ...asked, conversation_mode: client_metadata.conversation_mode };
    const made = await services.runs.submit(job, {
      sender: caller?.name ?? null,
      idempotencyKey: idempotencyKey(request),
    });
    return answerJob(request, services.runs, made, caller);
  },
});
