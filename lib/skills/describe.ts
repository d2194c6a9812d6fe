import type { Skill } from "./skill.ts";

/** A skill as the API lists it: its manifest, and whether it can run. No path of the machine is in it. */
export function describeSkill(skill: Skill) {
  const { manifest, frontMatter, kind, errors, warnings } = skill;
  return {
    ...manifest,
    name: manifest.name ?? (frontMatter.name || null),
    description: manifest.description ?? (frontMatter.description || null),
    kind,
    runnable: errors.length === 0,
    errors,
    warnings,
  };
}

export type SkillSummary = ReturnType<typeof describeSkill>;

/** The same with everything a caller needs to use it. */
export function describeSkillInFull(skill: Skill) {
  const { input = null, parameter = null, output = null } = skill.schemas;
  return {
    ...describeSkill(skill),
    schemas_resolved: { input, parameter, output },
    files: skill.files,
    package_hash: skill.hash,
  };
}
