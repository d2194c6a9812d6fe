import { z } from "zod";
import { isJsonObject } from "../json.ts";
import { type InteractionKind, interactionKind, type PendingInteraction } from "./interaction.ts";

/** What an agent asks, before it is a question of a run. */
export type Question = Pick<
  PendingInteraction,
  "kind" | "prompt" | "options" | "ui_hints" | "required_fields" | "context"
>;

/** Set by an agent to say whether the object it answers with is the result or a question. No business field. */
export const doneMarker = "__SKILL_DONE__";

/** Longest question that is shown, in characters; the logs hold the whole of it. */
const maxPrompt = 32 * 1024;
const maxOptions = 100;
/** Most of what an agent says beside its question, in characters of JSON, and how deep it may be nested. */
const maxHints = 64 * 1024;
const maxDepth = 32;

const named = z.string().min(1).max(2_000);
const hints = z.record(z.string(), z.unknown());

/**
 * Reads an agent's answer as a question: the branch `{"__SKILL_DONE__": false, "message", "ui_hints"}` that its skill's
 * text asks for, or the reference system's older `{"outcome": "ask_user", ...}`. Null when it is none.
 */
export function readQuestion(answer: Record<string, unknown> | null): Question | null {
  if (answer === null) return null;
  if (answer[doneMarker] === false) return questionOf(answer.message, answer.ui_hints);
  if (answer.outcome !== "ask_user") return null;
  const asked = isJsonObject(answer.ask_user) ? answer.ask_user : answer;
  return questionOf(asked.prompt ?? asked.message, asked.ui_hints ?? asked);
}

/** An answer that is neither result nor question: what it says is asked. */
export function openQuestion(text: string): Question {
  return questionOf(text, {});
}

/** Lenient: an agent that asks in a clumsy way still asks. */
function questionOf(message: unknown, given: unknown): Question {
  const hinted = hints.safeParse(given).data ?? {};
  const options = optionsOf(hinted.options);
  const ui_hints = isModest(hinted) ? hinted : {};
  const required = z.array(named).max(maxOptions).safeParse(ui_hints.required_fields).data ?? [];
  const text = typeof message === "string" ? message.trim() : "";
  return {
    kind: kindOf(hinted.kind, options),
    prompt: text === "" ? "The agent waits for your input." : text.slice(0, maxPrompt),
    options,
    ui_hints,
    required_fields: required,
    context: hints.safeParse(ui_hints.context).data ?? null,
  };
}

/** Whether it can be kept and shown: JSON can be read that is nested too deep to be written again. */
function isModest(value: unknown): boolean {
  return depthFits(value, maxDepth) && (JSON.stringify(value) ?? "").length <= maxHints;
}

function depthFits(value: unknown, left: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  return left > 0 && Object.values(value).every((inner) => depthFits(inner, left - 1));
}

function kindOf(given: unknown, options: Question["options"]): InteractionKind {
  const kind = interactionKind.safeParse(given).data ?? (options.length > 0 ? "choose_one" : "open_text");
  return kind === "choose_one" && options.length === 0 ? "open_text" : kind;
}

function optionsOf(given: unknown): Question["options"] {
  if (!Array.isArray(given)) return [];
  const options: Question["options"] = [];
  for (const item of given.slice(0, maxOptions)) {
    const { label, value } = isJsonObject(item) ? item : { label: undefined, value: item };
    const shown = textOf(label) ?? textOf(value);
    if (shown === undefined) continue;
    const option = { label: shown, value: isModest(value) ? (value ?? shown) : shown };
    // As many as can be shown.
    if (!isModest([...options, option])) break;
    options.push(option);
  }
  return options;
}

/** What an option is called: a word or a number of modest length. */
function textOf(value: unknown): string | undefined {
  const text = typeof value === "number" || typeof value === "boolean" ? String(value) : value;
  return named.safeParse(text).data;
}

/** A slot for a file that a question of kind `upload_files` asks for. */
export interface FileSlot {
  name: string;
  required: boolean;
}

const slot = z.object({ name: named, required: z.boolean().default(true) });

/** The files a question asks for; any question takes at least one file, in the slot `file`. */
export function slotsOf({ kind, ui_hints }: PendingInteraction): FileSlot[] {
  const given: unknown[] = Array.isArray(ui_hints.files) ? ui_hints.files : [];
  const slots = given.flatMap((item) => {
    const read = slot.safeParse(typeof item === "string" ? { name: item } : item);
    return read.success ? [read.data] : [];
  });
  return slots.length > 0 ? slots : [{ name: "file", required: kind === "upload_files" }];
}
