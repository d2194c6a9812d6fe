import { z } from "zod";
import { skillInstall } from "../../../lib/skills/index.ts";
import { defineFunction } from "../../../runtime/function.ts";

export default defineFunction({
  summary: "How the install of a skill package goes",
  scope: "read",
  description: "The last 50 installs are kept.",
  tags: ["skills"],
  params: z.object({ request_id: z.string().max(64).describe("From POST /v1/skill-packages/install.") }),
  responses: { 200: { description: "The install", schema: skillInstall.meta({ id: "SkillInstall" }) } },
  errors: ["SKILL_PACKAGE_INSTALL_NOT_FOUND"],
  handler: ({ params, services }) => services.skillPackages.get(params.request_id),
});
