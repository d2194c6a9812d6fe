import { z } from "zod";
import { defineFunction } from "../../../../../runtime/function.ts";
import { engineParams, listedModel } from "../../../../_shared/engine-schemas.ts";

export default defineFunction({
  summary: "The models an engine knows at its installed version",
  scope: "read",
  description:
    "Asked of the CLI itself where it can list them (`source: runtime_probe_cache`), else from the newest snapshot that is not newer than the installed version. `fallback_reason` says why it is another one.",
  tags: ["engines"],
  params: engineParams,
  responses: {
    200: {
      description: "Models",
      schema: z.object({
        engine: z.string(),
        cli_version_detected: z.string().nullable(),
        snapshot_version_used: z.string(),
        source: z.enum(["pinned_snapshot", "runtime_probe_cache"]),
        fallback_reason: z
          .enum(["cli_version_unknown", "no_semver_match", "no_match", "probe_failed"])
          .nullable(),
        models: z.array(listedModel),
      }),
    },
  },
  errors: ["ENGINE_NOT_FOUND"],
  handler: ({ params, services }) => services.engines.models(params.engine),
});
