import { z } from "zod";
import { defineFunction } from "../../../runtime/function.ts";
import { skillSummary } from "../../_shared/schemas.ts";

export default defineFunction({
  summary: "All skills, broken ones included",
  scope: "read",
  tags: ["skills"],
  responses: { 200: { description: "Manifests, by id", schema: z.array(skillSummary) } },
  handler: ({ services }) => services.skills.summaries(),
});
