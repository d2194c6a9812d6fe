import { defineFunction } from "../../../../runtime/function.ts";
import { engineDetail, engineParams } from "../../../_shared/engine-schemas.ts";

export default defineFunction({
  summary: "One agent CLI: what is installed, whether it can sign in, what a run of it needs",
  scope: "read",
  tags: ["engines"],
  params: engineParams,
  responses: { 200: { description: "The engine", schema: engineDetail } },
  errors: ["ENGINE_NOT_FOUND"],
  handler: ({ params, services }) => services.engines.detail(params.engine),
});
