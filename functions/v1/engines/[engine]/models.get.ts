import { z } from "zod";
import { defineFunction } from "../../../../runtime/function.ts";

const model = z.object({
  id: z.string(),
  provider: z.string().nullable(),
  provider_id: z.string().nullable(),
  model: z.string(),
  display_name: z.string(),
  deprecated: z.boolean(),
  notes: z.string().nullable(),
  supported_effort: z.array(z.string()),
  source: z.string(),
});

export default defineFunction({
  summary: "The models an engine knows at its installed version",
  tags: ["engines"],
  params: z.object({ engine: z.string().max(64) }),
  responses: {
    200: {
      description: "Models",
      schema: z.object({
        engine: z.string(),
        cli_version_detected: z.string().nullable(),
        snapshot_version_used: z.string(),
        source: z.string(),
        fallback_reason: z.string().nullable(),
        models: z.array(model),
      }),
    },
  },
  errors: ["ENGINE_NOT_FOUND"],
  handler: ({ params, services }) => services.engines.models(params.engine),
});
