import type { ModelScript, ModelStep } from "../model-server/server.ts";

/** One way a run can go, and what its caller must see of it. */
export interface MatrixCase {
  /** What the model says in the first turn. */
  steps: ModelStep[];
  /** What it says when it is asked to mend its answer; the same again when absent. */
  repair?: ModelStep[];
  status: "succeeded" | "failed" | "canceled";
  code?: string;
  data?: object;
  /** Content of artifacts/report.md. */
  artifact?: string;
  turns?: number;
  /** Words of the first turn that the last request must still hold. */
  remembers?: string;
  options?: object;
  /** Cancels when a process whose command line holds the run's words is there. */
  cancelWhen?: "tool runs";
  /** Longest time from the submit to the end, in ms. */
  withinMs?: number;
}

const done = { ok: true, report: "artifacts/report.md" };
const answer = (value: object): ModelStep => ({ kind: "text", text: JSON.stringify(value) });
const write: ModelStep = {
  kind: "tool",
  command: "mkdir -p artifacts && printf 'hello\\n' > artifacts/report.md",
  text: "I will write the report now.",
};
const gone = { ok: true, report: "artifacts/missing.md" };

/** What each agent is tried with; `%WORDS%` in a command stands for the run's own words. */
export const matrixCases: Record<string, MatrixCase> = {
  "success with tool call and artifact": {
    steps: [write, answer(done)],
    status: "succeeded",
    data: done,
    artifact: "hello\n",
    turns: 1,
  },
  resume: {
    steps: [{ kind: "tool", command: "echo kingfisher" }, answer(gone)],
    repair: [write, answer(done)],
    status: "succeeded",
    turns: 2,
    remembers: "kingfisher",
  },
  "repair turn": {
    steps: [answer(gone)],
    repair: [write, answer(done)],
    status: "succeeded",
    data: done,
    turns: 2,
  },
  "bad JSON": {
    steps: [{ kind: "text", text: "I would rather not say it in JSON." }],
    status: "failed",
    code: "OUTPUT_SCHEMA_REPAIR_EXHAUSTED",
  },
  "missing artifact": { steps: [answer(gone)], status: "failed", code: "OUTPUT_SCHEMA_REPAIR_EXHAUSTED" },
  "auth failure": {
    steps: [{ kind: "error", status: 401, message: "Incorrect API key provided." }],
    status: "failed",
    code: "AUTH_REQUIRED",
    withinMs: 30_000,
  },
  "model 500": {
    steps: [{ kind: "error", status: 500, message: "The server had an error." }],
    status: "failed",
    code: "MODEL_ERROR",
    // qwen tries seven times, for a minute and a half, and cannot be told to try less.
    withinMs: 120_000,
  },
  "cancel mid-tool": {
    // No sleep: qwen's shell tool refuses to run one.
    steps: [{ kind: "tool", command: "sh -c 'tail -f /dev/null; : %WORDS%'" }],
    status: "canceled",
    code: "CANCELED_BY_USER",
    cancelWhen: "tool runs",
  },
  "hard timeout": {
    steps: [{ kind: "hang" }],
    status: "failed",
    code: "TIMEOUT",
    options: { hard_timeout_seconds: 6 },
    withinMs: 20_000,
  },
};

const twoAtOnce: ModelStep[] = [{ kind: "delay", ms: 500, next: write }, answer(done)];
const repairPrompt = "last answer cannot be accepted";

/** The words that stand in one run's prompts and in no other's, nor in those of another test process. */
export function wordsOf(name: string, run: number): string {
  return `CASE-${name.replaceAll(" ", "-")}-run-${process.pid}${String(run).padStart(4, "0")}-`;
}

/** Plays the case whose words stand in the conversation. */
export const caseScript: ModelScript = (request) => {
  const [words, slug] = /CASE-([\w-]+)-run-\d+-/.exec(request.allText) ?? [];
  if (words === undefined) return { kind: "text", text: "There is nothing to do." };
  const found = Object.entries(matrixCases).find(([name]) => name.replaceAll(" ", "-") === slug)?.[1];
  const { steps, repair } = found ?? { steps: twoAtOnce };
  const played = (request.lastUserText.includes(repairPrompt) ? repair : undefined) ?? steps;
  const step = played[Math.min(request.stepIndex, played.length - 1)];
  if (step?.kind === "tool") return { ...step, command: step.command.replace("%WORDS%", words) };
  return step ?? { kind: "text", text: "There is nothing to do." };
};

/** A skill whose one input is the run's own words. */
export const skillFiles: Record<string, string | object> = {
  "SKILL.md": "---\nname: matrix\ndescription: Does what the text says.\n---\n\nDo what the text says.\n",
  "assets/runner.json": { id: "matrix", version: "1.0.0", execution_modes: ["auto"] },
  "assets/input.schema.json": {
    type: "object",
    properties: { text: { type: "string", "x-input-source": "inline" } },
    required: ["text"],
  },
  "assets/output.schema.json": {
    type: "object",
    properties: {
      ok: { type: "boolean" },
      report: { type: "string", "x-type": "artifact", "x-role": "report" },
    },
    required: ["ok", "report"],
    additionalProperties: false,
  },
};
