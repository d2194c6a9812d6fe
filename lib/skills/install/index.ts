export { createSkillInstalls, type SkillInstalls, type SkillInstallsOptions } from "./installs.ts";
export { skillInstall } from "./record.ts";
