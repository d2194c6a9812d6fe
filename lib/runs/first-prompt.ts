import { isAbsolute, join } from "node:path";
import type { Agent } from "../agents/index.ts";
import { buildPrompt, type Skill, splitInputs } from "../skills/index.ts";
import type { RunRecord } from "./record.ts";

/** What an agent is told first: its skill, and the run's inputs with the places of its files. */
export function firstPrompt(skill: Skill, agent: Agent, run: RunRecord, workspace: string): string {
  const files = new Set(splitInputs(skill).file.map((input) => input.name));
  const input = Object.fromEntries(
    Object.entries(run.input).map(([name, value]) =>
      files.has(name) && typeof value === "string" && !isAbsolute(value)
        ? [name, join(workspace, "uploads", value)]
        : [name, value],
    ),
  );
  return buildPrompt({
    skill,
    engine: agent.id,
    invokeLine: agent.invokeLine(skill.id),
    input,
    parameter: run.parameter,
    runDir: workspace,
    ...(run.runtime_options.preamble_prompt === undefined
      ? {}
      : { preamble: run.runtime_options.preamble_prompt }),
  });
}
