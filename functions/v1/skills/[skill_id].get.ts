import { z } from "zod";
import { describeSkillInFull } from "../../../lib/skills/index.ts";
import { defineFunction } from "../../../runtime/function.ts";
import { skillDetail } from "../../_shared/schemas.ts";

export default defineFunction({
  summary: "One skill with its schemas and files",
  scope: "read",
  tags: ["skills"],
  params: z.object({ skill_id: z.string().max(128) }),
  responses: { 200: { description: "Manifest, schemas, files", schema: skillDetail } },
  errors: ["SKILL_NOT_FOUND"],
  handler: async ({ params, services }) => describeSkillInFull(await services.skills.get(params.skill_id)),
});
