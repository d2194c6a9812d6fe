export { type ArtifactField, type ArtifactKind, artifactFields } from "./artifact-fields.ts";
export { describeSkillInFull } from "./describe.ts";
export { type FileInput, type InputSplit, splitInputs, validateUploadedInput } from "./inputs.ts";
export { createSkillInstalls, type SkillInstalls, skillInstall, skillLock } from "./install/index.ts";
export { dropNullOptionals } from "./null-optionals.ts";
export {
  buildContinuePrompt,
  buildDecideYourselfPrompt,
  buildPrompt,
  buildRepairPrompt,
  type PromptParts,
} from "./prompt.ts";
export { readSkillFolder } from "./read-folder.ts";
export { createSkillRegistry, type SkillRegistry, type SkillRegistryOptions } from "./registry.ts";
export type { SnapshotOptions } from "./runtime-sections.ts";
export type {
  ExecutionMode,
  FrontMatter,
  JsonSchema,
  SchemaKey,
  Skill,
  SkillManifest,
  SkillSchemas,
} from "./skill.ts";
export { copyPackage, snapshotSkill } from "./snapshot.ts";
export { toStrictSchema } from "./strict-schema.ts";
export { type ExtractZip, unpackSkillPackage } from "./unpack.ts";
export { createValidators, type SkillValidators, validateInlineInput } from "./validation.ts";
