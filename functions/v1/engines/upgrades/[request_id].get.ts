import { z } from "zod";
import { upgradeRecord } from "../../../../lib/agents/index.ts";
import { defineFunction } from "../../../../runtime/function.ts";

export default defineFunction({
  summary: "How an upgrade of agent CLIs goes, with what npm says",
  scope: "read",
  description:
    "While it runs, stdout and stderr grow. At most 64 Ki characters of each are shown: the beginning and the end. The last 50 upgrades are kept.",
  tags: ["engines"],
  params: z.object({ request_id: z.string().max(64).describe("From POST /v1/engines/upgrades.") }),
  responses: { 200: { description: "The upgrade", schema: upgradeRecord.meta({ id: "EngineUpgrade" }) } },
  errors: ["UPGRADE_NOT_FOUND"],
  handler: ({ params, services }) => services.upgrades.get(params.request_id),
});
