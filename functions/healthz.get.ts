import { z } from "zod";
import { defineFunction } from "../runtime/function.ts";

export default defineFunction({
  summary: "Whether the process is alive",
  scope: "open",
  tags: ["system"],
  responses: { 200: { description: "Alive", schema: z.object({ status: z.literal("ok") }) } },
  handler: () => ({ status: "ok" }),
});
