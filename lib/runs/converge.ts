import { basename, join } from "node:path";
import type { Issue } from "../errors.ts";
import { isJsonObject } from "../json.ts";
import { artifactFields, dropNullOptionals, type Skill, type SkillValidators } from "../skills/index.ts";
import { readAnswerFile } from "./answer-file.ts";
import { type Artifact, collectArtifacts, filesBelow } from "./artifacts.ts";
import type { Cleaner } from "./cleaner.ts";
import { type ExtractedJson, extractJson, type RepairLevel } from "./extract-json.ts";
import type { RunPaths } from "./paths.ts";
import { doneMarker } from "./question.ts";
import type { TurnOutcome } from "./turn.ts";

/** What of a turn holds its answer. */
type Said = Pick<TurnOutcome, "summary" | "cleaner">;

/** What became of an agent's answer. `issues` empty: it is the result. */
export interface Convergence {
  data: Record<string, unknown> | null;
  artifacts: Artifact[];
  /** Files left out of `artifacts`, as there is a secret in their paths. */
  unnamed: number;
  repair: RepairLevel;
  issues: Issue[];
  /** The answer was found in a file the skill names, not in the final message. */
  fromFile: string | null;
}

/** The object an agent answered with, or null. */
export function readAnswer({ summary, cleaner }: Said): ExtractedJson | null {
  return isJsonObject(summary.structured)
    ? { value: summary.structured, repair: "none" }
    : read(summary.finalText, cleaner);
}

/** The object in a text. Its secrets go when it is read: JSON has more ways to spell a letter than can be looked for. */
function read(text: string, cleaner: Cleaner): ExtractedJson | null {
  const found = extractJson(text);
  if (found === null) return null;
  const value = cleaner.value(found.value);
  return isJsonObject(value) ? { ...found, value } : null;
}

/**
 * Turns a completed turn into checked data: object from the answer, output schema, artifact paths. A skill without an
 * output schema gives its final text as it is.
 */
export async function converge(
  skill: Skill,
  validators: SkillValidators,
  paths: RunPaths,
  said: Said,
): Promise<Convergence> {
  const { summary, cleaner } = said;
  const schema = skill.schemas.output;
  if (schema === undefined) {
    const found = await collectArtifacts(paths, [], {});
    const { artifacts, unnamed } = namedCleanly(found.artifacts, cleaner);
    const data = { text: summary.finalText };
    return { data, artifacts, unnamed, repair: "none", issues: [], fromFile: null };
  }
  const check = async (
    value: Record<string, unknown>,
    repair: RepairLevel,
    fromFile: string | null,
  ): Promise<Convergence> => {
    const { [doneMarker]: _done, ...answer } = dropNullOptionals(schema, value);
    const schemaIssues = validators.output(skill, answer);
    const { data, ...found } = await collectArtifacts(paths, artifactFields(schema), answer);
    // A manifest is a file, and a path that it or the answer names may lead to one with another name.
    const issues = [...schemaIssues, ...found.issues].map((issue) => ({
      ...issue,
      pointer: cleaner.text(issue.pointer),
      message: cleaner.text(issue.message),
    }));
    const clean = cleaner.value(data);
    const { artifacts, unnamed } = namedCleanly(found.artifacts, cleaner);
    return { data: isJsonObject(clean) ? clean : null, artifacts, unnamed, repair, issues, fromFile };
  };
  const answer = readAnswer(said);
  const fromMessage = answer ? await check(answer.value, answer.repair, null) : null;
  if (fromMessage?.issues.length === 0) return fromMessage;

  const file = await resultFile(
    paths,
    skill.manifest.entrypoint?.result_json_filename ?? `${skill.id}.result.json`,
    cleaner,
  );
  if (file) {
    const fromFile = await check(file.value, file.repair, file.path);
    if (fromFile.issues.length === 0) return fromFile;
  }
  return (
    fromMessage ?? {
      data: null,
      artifacts: [],
      unnamed: 0,
      repair: "none",
      issues: [{ pointer: "", message: "the final message holds no JSON object" }],
      fromFile: null,
    }
  );
}

/** Those whose paths can be told as they are, and how many cannot: under another name they could not be had. */
function namedCleanly(found: readonly Artifact[], cleaner: Cleaner) {
  const artifacts = found.filter(({ path }) => cleaner.isClean(path));
  return { artifacts, unnamed: found.length - artifacts.length };
}

/** Most files of that name that are looked into: each can take half a second. */
const maxResultFiles = 10;

/** The file a skill may leave its answer in, anywhere in the workspace. */
async function resultFile(paths: RunPaths, name: string, cleaner: Cleaner) {
  const candidates = (await filesBelow(paths.workspace, "")).filter(
    (path) => basename(path) === name && !path.includes("/."),
  );
  for (const candidate of candidates.slice(0, maxResultFiles)) {
    const text = await readAnswerFile(join(paths.workspace, candidate));
    const found = text === null ? null : read(text, cleaner);
    if (found) return { ...found, path: cleaner.text(candidate.slice(1)) };
  }
  return null;
}
