export { createSkillInstalls, type SkillInstalls, type SkillInstallsOptions, skillLock } from "./installs.ts";
export { skillInstall } from "./record.ts";
