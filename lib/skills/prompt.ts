import type { Issue } from "../errors.ts";
import type { JsonSchema, Skill } from "./skill.ts";
import { renderTemplate } from "./template.ts";

export interface PromptParts {
  skill: Skill;
  engine: string;
  /** The line that makes this engine use the skill. */
  invokeLine: string;
  /** Inputs of the run; file inputs as absolute paths. */
  input: Readonly<Record<string, unknown>>;
  parameter: Readonly<Record<string, unknown>>;
  /** Absolute path of the folder the agent works in. */
  runDir: string;
  preamble?: string;
}

/**
 * The first message to the agent: the invoking line, the caller's preamble, then the skill's own template for this
 * engine or, without one, the inputs and parameters with the task.
 * @throws RunnerError SKILL_INVALID when the skill's template cannot be rendered.
 */
export function buildPrompt(parts: PromptParts): string {
  const { skill, engine, invokeLine, input, parameter, runDir, preamble } = parts;
  const { prompts } = skill.manifest.entrypoint;
  const template = prompts[engine] ?? prompts.common;
  const body =
    template === undefined
      ? defaultBody(skill, input, parameter)
      : renderTemplate(template, { input, parameter, skill: templateView(skill), run_dir: runDir }).trim();
  const wrapped =
    preamble === undefined
      ? []
      : [`Said by the caller before the task:\n<preamble>\n${preamble.trim()}\n</preamble>`];
  return `${[invokeLine, ...wrapped, body].join("\n\n")}\n`;
}

/** The message of a repair turn: what is wrong with the last answer, and what a good one is. */
export function buildRepairPrompt(issues: readonly Issue[], schema?: JsonSchema): string {
  const found = issues.map(
    ({ pointer, message }) => `- ${pointer === "" ? "the answer" : pointer}: ${message}`,
  );
  const parts = [
    `Your last answer cannot be accepted. This is wrong with it:\n${found.join("\n")}`,
    "Keep the work that is done; mend only what is named above. A file that is missing must be written first. " +
      "Then answer with the whole corrected JSON object as your final message: no fences, no text around it.",
  ];
  if (schema !== undefined) parts.push(`The object must match this JSON Schema:\n${JSON.stringify(schema)}`);
  return `${parts.join("\n\n")}\n`;
}

/** The message to an agent whose last turn was cut off, in the same session. */
export function buildContinuePrompt(): string {
  return `Your last turn was cut off before you were done. Look at what is already there in the current folder: what is done need not be done again. Go on from there, finish the task, and answer in the form that was asked for.\n`;
}

/** The message to an agent whose question nobody answered in time. */
export function buildDecideYourselfPrompt(): string {
  return `Nobody answered your question in time. Choose the most sensible answer yourself, say in the result what you assumed if there is a place for it, and go on.\n`;
}

/** What a template may know of its skill: nothing of the machine. */
function templateView({ id, manifest, frontMatter }: Skill) {
  return {
    id,
    name: manifest.name ?? frontMatter.name,
    description: manifest.description ?? frontMatter.description,
    version: manifest.version,
  };
}

function defaultBody(skill: Skill, input: PromptParts["input"], parameter: PromptParts["parameter"]): string {
  if (skill.kind === "plain" && typeof input.prompt === "string") {
    return `${input.prompt.trim()}\n\nDo this by the instructions of the skill "${skill.id}".`;
  }
  return [
    `Inputs (JSON values; a file is given by its absolute path):\n${listed(input)}`,
    `Parameters:\n${listed(parameter)}`,
    `Do the task of the skill "${skill.id}" with these inputs and parameters, and answer in the form its SKILL.md asks for.`,
  ].join("\n\n");
}

function listed(values: Readonly<Record<string, unknown>>): string {
  const lines = Object.entries(values).map(([name, value]) => `- ${name}: ${JSON.stringify(value)}`);
  return lines.length === 0 ? "(none)" : lines.join("\n");
}
