import { basename, join } from "node:path";
import type { TurnSummary } from "../agents/index.ts";
import type { Issue } from "../errors.ts";
import { isJsonObject } from "../json.ts";
import { artifactFields, dropNullOptionals, type Skill, type SkillValidators } from "../skills/index.ts";
import { readAnswerFile } from "./answer-file.ts";
import { type Artifact, collectArtifacts, filesBelow } from "./artifacts.ts";
import { type ExtractedJson, extractJson, type RepairLevel } from "./extract-json.ts";
import type { RunPaths } from "./paths.ts";
import { doneMarker } from "./question.ts";

/** What became of an agent's answer. `issues` empty: it is the result. */
export interface Convergence {
  data: Record<string, unknown> | null;
  artifacts: Artifact[];
  repair: RepairLevel;
  issues: Issue[];
  /** The answer was found in a file the skill names, not in the final message. */
  fromFile: string | null;
}

/** The object an agent answered with, or null. */
export function readAnswer(summary: TurnSummary): ExtractedJson | null {
  return isJsonObject(summary.structured)
    ? { value: summary.structured, repair: "none" }
    : extractJson(summary.finalText);
}

/**
 * Turns a completed turn into checked data: object from the answer, output schema, artifact paths. A skill without an
 * output schema gives its final text as it is.
 */
export async function converge(
  skill: Skill,
  validators: SkillValidators,
  paths: RunPaths,
  summary: TurnSummary,
): Promise<Convergence> {
  const schema = skill.schemas.output;
  if (schema === undefined) {
    const { artifacts } = await collectArtifacts(paths, [], {});
    return { data: { text: summary.finalText }, artifacts, repair: "none", issues: [], fromFile: null };
  }
  const check = async (
    value: Record<string, unknown>,
    repair: RepairLevel,
    fromFile: string | null,
  ): Promise<Convergence> => {
    const { [doneMarker]: _done, ...answer } = dropNullOptionals(schema, value);
    const schemaIssues = validators.output(skill, answer);
    const { artifacts, data, issues } = await collectArtifacts(paths, artifactFields(schema), answer);
    return { data, artifacts, repair, issues: [...schemaIssues, ...issues], fromFile };
  };
  const answer = readAnswer(summary);
  const fromMessage = answer ? await check(answer.value, answer.repair, null) : null;
  if (fromMessage?.issues.length === 0) return fromMessage;

  const file = await resultFile(
    paths,
    skill.manifest.entrypoint?.result_json_filename ?? `${skill.id}.result.json`,
  );
  if (file) {
    const fromFile = await check(file.value, file.repair, file.path);
    if (fromFile.issues.length === 0) return fromFile;
  }
  return (
    fromMessage ?? {
      data: null,
      artifacts: [],
      repair: "none",
      issues: [{ pointer: "", message: "the final message holds no JSON object" }],
      fromFile: null,
    }
  );
}

/** The file a skill may leave its answer in, anywhere in the workspace. */
async function resultFile(paths: RunPaths, name: string) {
  const candidates = (await filesBelow(paths.workspace, "")).filter(
    (path) => basename(path) === name && !path.includes("/."),
  );
  for (const candidate of candidates) {
    const text = await readAnswerFile(join(paths.workspace, candidate));
    const found = text === null ? null : extractJson(text);
    if (found) return { ...found, path: candidate.slice(1) };
  }
  return null;
}
