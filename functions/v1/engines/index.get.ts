import { z } from "zod";
import { defineFunction } from "../../../runtime/function.ts";
import { engineStatus, jail, landlock } from "../../_shared/engine-schemas.ts";

export default defineFunction({
  summary: "The agent CLIs this server can drive, and what is installed of them",
  scope: "read",
  tags: ["engines"],
  responses: {
    200: {
      description: "Engines",
      schema: z.object({ engines: z.array(engineStatus), landlock, sandbox: jail }),
    },
  },
  handler: async ({ services }) => {
    const [statuses, landlock, sandbox] = await Promise.all([
      services.engines.statuses(),
      services.engines.landlock(),
      services.engines.jail(),
    ]);
    return { engines: statuses, landlock, sandbox };
  },
});
