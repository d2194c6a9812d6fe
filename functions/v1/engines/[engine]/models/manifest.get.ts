import { defineFunction } from "../../../../../runtime/function.ts";
import { engineParams, modelManifest } from "../../../../_shared/engine-schemas.ts";

export default defineFunction({
  summary: "Every model snapshot of an engine, and the one that fits its installed version",
  scope: "read",
  tags: ["engines"],
  params: engineParams,
  responses: { 200: { description: "Manifest", schema: modelManifest } },
  errors: ["ENGINE_NOT_FOUND"],
  handler: ({ params, services }) => services.engines.manifest(params.engine),
});
