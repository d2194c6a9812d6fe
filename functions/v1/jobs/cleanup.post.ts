import { z } from "zod";
import { defineFunction } from "../../../runtime/function.ts";

export default defineFunction({
  summary: "Delete every job that is not queued or running, and the result cache",
  scope: "admin",
  tags: ["jobs"],
  responses: {
    200: {
      description: "How much went",
      schema: z.object({
        runs_deleted: z.int(),
        requests_deleted: z.int(),
        cache_entries_deleted: z.int(),
        runs_kept: z.int(),
      }),
    },
  },
  handler: ({ services }) => services.runs.cleanUp(),
});
