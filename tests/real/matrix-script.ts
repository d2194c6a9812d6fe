import type { ModelRequest, ModelScript, ModelStep } from "../model-server/server.ts";
import { type MatrixCase, matrixCases } from "./matrix-cases.ts";

const write: ModelStep = {
  kind: "tool",
  command: "mkdir -p artifacts && printf 'hello\\n' > artifacts/report.md",
};
/** What is played where no case is named so. */
const twoAtOnce: Pick<MatrixCase, "steps" | "later" | "key"> = {
  steps: [
    { kind: "delay", ms: 500, next: write },
    { kind: "text", text: JSON.stringify({ ok: true, report: "artifacts/report.md" }) },
  ],
};
const nothing: ModelStep = { kind: "text", text: "There is nothing to do." };

/** The words that stand in one run's prompts and in no other's, nor in those of another test process. */
export function wordsOf(name: string, run: number): string {
  return `CASE-${slugOf(name)}-run-${process.pid}${String(run).padStart(4, "0")}-`;
}

/** Plays the case whose words stand in the conversation. */
export const caseScript: ModelScript = (request) => {
  const [words, slug] = /CASE-([\w-]+)-run-\d+-/.exec(request.allText) ?? [];
  if (words === undefined) return nothing;
  const played = Object.entries(matrixCases).find(([name]) => slugOf(name) === slug)?.[1] ?? twoAtOnce;
  if (played.key !== undefined && keyOf(request) !== played.key) {
    return { kind: "error", status: 401, message: "Incorrect API key provided." };
  }
  const later = Object.entries(played.later ?? {}).find(([prompt]) => request.lastUserText.includes(prompt));
  const steps = later?.[1] ?? played.steps;
  const step = steps[Math.min(request.stepIndex, steps.length - 1)] ?? nothing;
  return step.kind === "tool" ? { ...step, command: filledIn(step.command, words, request) } : step;
};

function filledIn(command: string, words: string, { lastUserText }: ModelRequest): string {
  const file = /uploads\/\.interaction-replies\/\S+/.exec(lastUserText)?.[0] ?? "no-file";
  return command.replace("%WORDS%", words).replace("%FILE%", file);
}

/** The key a CLI sent, wherever its vendor has it sent. */
function keyOf({ headers }: ModelRequest): string | undefined {
  const sent =
    headers["x-api-key"] ?? headers["x-goog-api-key"] ?? headers.authorization?.replace("Bearer ", "");
  return Array.isArray(sent) ? sent[0] : sent;
}

function slugOf(name: string): string {
  return name.replaceAll(/\W+/g, "-");
}
