import { z } from "zod";
import { defineFunction } from "../../../../runtime/function.ts";

const body = z
  .strictObject({
    mode: z.enum(["single", "all"]).describe("One engine, or every engine that can be had from npm."),
    engine: z.string().min(1).max(64).optional().describe('Which one, for "single"; left out for "all".'),
  })
  .superRefine(({ mode, engine }, context) => {
    if (mode === "single" && engine === undefined)
      context.addIssue({ code: "custom", path: ["engine"], message: 'is required when mode is "single"' });
    if (mode === "all" && engine !== undefined)
      context.addIssue({ code: "custom", path: ["engine"], message: 'must be left out when mode is "all"' });
  });

export default defineFunction({
  summary: "Install or upgrade agent CLIs",
  scope: "admin",
  description:
    "Brings each to its known-good version, or to the one SKILL_RUNNER_ENGINE_VERSIONS names. One upgrade at a time; jobs go on meanwhile with the version they began with. Watch it with GET /v1/engines/upgrades/{request_id}.",
  tags: ["engines"],
  body,
  responses: {
    200: {
      description: "It is under way",
      schema: z.object({ request_id: z.string(), status: z.literal("queued") }),
    },
  },
  errors: ["ENGINE_NOT_FOUND", "ENGINE_NOT_INSTALLABLE", "UPGRADE_IN_PROGRESS", "SHUTTING_DOWN"],
  handler: async ({ body, services }) => {
    const { request_id, status } = await services.upgrades.request(body);
    return { request_id, status };
  },
});
