import { z } from "zod";
import { defineFunction } from "../../../runtime/function.ts";

export default defineFunction({
  summary: "How many runs this machine takes at once, and why",
  tags: ["system"],
  responses: {
    200: {
      description: "What was probed, the limit that follows, and how much of it is in use",
      schema: z.looseObject({
        probe: z.looseObject({}),
        decision: z.looseObject({ max_concurrent: z.int(), reason: z.string(), bounded_by: z.string() }),
        running: z.int(),
        queued: z.int(),
        max_concurrent: z.int(),
        max_queue_size: z.int(),
      }),
    },
  },
  handler: ({ services }) => services.capacity.describe(),
});
