import { z } from "zod";
import { defineFunction } from "../../../../../runtime/function.ts";
import { engineParams, modelManifest } from "../../../../_shared/engine-schemas.ts";

const text = z.string().min(1).max(200);

const model = z
  .strictObject({
    id: text,
    display_name: text.nullish(),
    deprecated: z.boolean().default(false),
    notes: z.string().max(2_000).nullish(),
    supported_effort: z.array(z.string().min(1).max(40)).max(20).nullish(),
  })
  .transform(({ display_name, notes, supported_effort, ...model }) => ({
    ...model,
    display_name: display_name ?? model.id,
    notes: notes ?? null,
    supported_effort: supported_effort ?? [],
  }));

export default defineFunction({
  summary: "Add the list of models of the installed version",
  scope: "admin",
  description:
    "For a version that the server has no list of. Lists are only added, never changed; an engine whose CLI lists its models itself takes none.",
  tags: ["engines"],
  params: engineParams,
  body: z.strictObject({
    models: z
      .array(model)
      .min(1)
      .max(500)
      .refine((models) => new Set(models.map(({ id }) => id)).size === models.length, "ids must differ"),
  }),
  responses: { 200: { description: "The manifest with it", schema: modelManifest } },
  errors: ["ENGINE_NOT_FOUND", "ENGINE_NOT_INSTALLED", "MODEL_SNAPSHOT_CONFLICT"],
  handler: ({ params, body, services }) => services.engines.addModels(params.engine, body.models),
});
