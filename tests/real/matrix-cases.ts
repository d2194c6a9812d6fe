import type { ModelStep } from "../model-server/server.ts";
import type { Happening } from "./matrix-happenings.ts";

/** What the caller of a run must see of its end. */
export interface Outcome {
  status: "succeeded" | "failed" | "canceled";
  code?: string;
  data?: object;
  /** Content of artifacts/report.md. */
  artifact?: string;
  turns?: number;
  /** 1 when absent. */
  attempts?: number;
  /** What the event log tells of the run's shell tools. */
  toolPhases?: string[];
  /** What the run's last model call must still hold. */
  remembers?: string[];
  /** Longest time from the submit to the end, in ms. */
  withinMs?: number;
}

/** One way a run can go. */
export interface MatrixCase extends Outcome {
  /**
   * What the model says to the first prompt. In a command, `%WORDS%` stands for the run's own words and `%FILE%` for the
   * path of a file that was handed in.
   */
  steps: ModelStep[];
  /** What it says to a later prompt that holds these words. */
  later?: Record<string, ModelStep[]>;
  /** The model refuses every other key. */
  key?: string;
  options?: object;
  /** What happens to the run before it ends, in order. */
  meanwhile?: Happening[];
  /** How it ends with an agent for which it cannot end so. */
  instead?: Record<string, Outcome>;
}

const done = { ok: true, report: "artifacts/report.md" };
const answer = (value: object): ModelStep => ({ kind: "text", text: JSON.stringify(value) });
const write: ModelStep = {
  kind: "tool",
  command: "mkdir -p artifacts && printf 'hello\\n' > artifacts/report.md",
  text: "I will write the report now.",
};
const gone = { ok: true, report: "artifacts/missing.md" };
const afterRefusal = "last answer cannot be accepted";

// No sleep: qwen's shell tool refuses to run one.
const endless: ModelStep = { kind: "tool", command: "sh -c 'tail -f /dev/null; : %WORDS%'" };

const interactive = { execution_mode: "interactive" };
const ask = (message: string, ui_hints: object) => answer({ __SKILL_DONE__: false, message, ui_hints });
const finish = answer({ ...done, __SKILL_DONE__: true });
const birds = { kind: "choose_one", options: [{ label: "The kingfisher", value: "kingfisher" }, "heron"] };
const upload = { kind: "upload_files", files: [{ name: "notes", required: true }] };

/** What each agent is tried with. */
export const matrixCases: Record<string, MatrixCase> = {
  "success with tool call and artifact": {
    steps: [write, answer(done)],
    status: "succeeded",
    data: done,
    artifact: "hello\n",
    turns: 1,
    toolPhases: ["started", "completed"],
    // It prints text alone: which tools it used is not in it.
    instead: { iflow: { status: "succeeded", data: done, artifact: "hello\n", turns: 1, toolPhases: [] } },
  },
  resume: {
    steps: [{ kind: "tool", command: "echo kingfisher" }, answer(gone)],
    later: { [afterRefusal]: [write, answer(done)] },
    status: "succeeded",
    turns: 2,
    remembers: ["kingfisher"],
  },
  "repair turn": {
    steps: [answer(gone)],
    later: { [afterRefusal]: [write, answer(done)] },
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
    steps: [endless],
    meanwhile: [{ kind: "cancel in tool" }],
    status: "canceled",
    code: "CANCELED_BY_USER",
  },
  "hard timeout": {
    steps: [{ kind: "hang" }],
    status: "failed",
    code: "TIMEOUT",
    options: { hard_timeout_seconds: 6 },
    withinMs: 20_000,
  },
  "asks and is answered": {
    steps: [ask("Which bird shall it be?", birds)],
    later: { "the heron, please": [write, finish] },
    options: interactive,
    meanwhile: [
      {
        kind: "reply",
        asked: { kind: "choose_one", prompt: "Which bird shall it be?", interaction_id: 1 },
        response: "the heron, please",
      },
    ],
    status: "succeeded",
    data: done,
    artifact: "hello\n",
    turns: 2,
    attempts: 2,
    remembers: ["Which bird shall it be?", "the heron, please"],
  },
  "asks twice, then reads a file it was given": {
    steps: [ask("Which bird shall it be?", birds)],
    later: {
      "the heron, please": [ask("Where are your notes?", upload)],
      "Here are my notes": [
        { kind: "tool", command: "mkdir -p artifacts && cat %FILE% > artifacts/report.md" },
        finish,
      ],
    },
    options: interactive,
    meanwhile: [
      { kind: "reply", asked: { kind: "choose_one", interaction_id: 1 }, response: "the heron, please" },
      {
        kind: "reply with file",
        asked: { kind: "upload_files", prompt: "Where are your notes?", interaction_id: 2 },
        slot: "notes",
        message: "Here are my notes",
        content: "seen at dawn\n",
      },
    ],
    status: "succeeded",
    data: done,
    artifact: "seen at dawn\n",
    turns: 3,
    attempts: 3,
    remembers: ["Which bird shall it be?", "the heron, please", "Here are my notes"],
  },
  "server killed, goes on in its session": {
    // The words end with their line: iflow's are heard by the line. Only what the tool prints holds the bird's name.
    steps: [{ kind: "tool", command: "echo king''fisher", text: "First I will look around.\n" }, endless],
    later: { "Your last turn was cut off": [write, answer(done)] },
    meanwhile: [{ kind: "kill server in tool" }],
    status: "succeeded",
    data: done,
    artifact: "hello\n",
    turns: 2,
    attempts: 2,
    remembers: ["kingfisher", "Your last turn was cut off"],
    instead: {
      // In text mode it tells its session at the end of a turn: one that is cut off cannot be gone on with.
      iflow: { status: "failed", code: "ORCHESTRATOR_RESTART_INTERRUPTED", turns: 1 },
    },
  },
  "not logged in, waits for a key": {
    steps: [write, finish],
    key: "sk-handed-in-later",
    options: interactive,
    meanwhile: [{ kind: "key", value: "sk-handed-in-later" }],
    status: "succeeded",
    data: done,
    artifact: "hello\n",
    turns: 2,
    attempts: 2,
    // The model's provider is the user's own, with its key in opencode's settings: which variable that is, nobody knows.
    instead: { opencode: { status: "canceled", code: "CANCELED_BY_USER" } },
  },
};
