import { z } from "zod";
import { defineFunction } from "../../../runtime/function.ts";
import { engineStatus } from "../../_shared/schemas.ts";

export default defineFunction({
  summary: "The agent CLIs this server can drive, and what is installed of them",
  tags: ["engines"],
  responses: { 200: { description: "Engines", schema: z.object({ engines: z.array(engineStatus) }) } },
  handler: async ({ services }) => ({ engines: await services.engines.statuses() }),
});
