import { z } from "zod";
import { runtimeOptions } from "../../../lib/runs/index.ts";
import { defineFunction } from "../../../runtime/function.ts";
import { accepted } from "../../_shared/schemas.ts";

const name = z.string().min(1).max(200);
const object = z.record(z.string(), z.unknown());

const body = z.strictObject({
  skill_source: z.enum(["installed", "temp_upload"]).default("installed"),
  skill_id: name
    .nullish()
    .transform((value) => value ?? null)
    .describe("Which skill to run; GET /v1/skills lists them."),
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
  description:
    "Checks the request, then queues the job. A skill with file inputs waits for its files (`status: null`): send them to POST /v1/jobs/{request_id}/upload.",
  tags: ["jobs"],
  body,
  responses: { 200: { description: "The job exists and is durable", schema: accepted } },
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
    "QUEUE_FULL",
    "SHUTTING_DOWN",
  ],
  handler: ({ body: { client_metadata, ...request }, services }) =>
    services.runs.submit({ ...request, conversation_mode: client_metadata.conversation_mode }),
});
