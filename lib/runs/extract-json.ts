import { jsonrepair } from "jsonrepair";
import { isJsonObject } from "../json.ts";
import { createTimeLimit, OutOfTime } from "../time-limit.ts";

export type RepairLevel = "none" | "deterministic_generic";

export interface ExtractedJson {
  value: Record<string, unknown>;
  /** `none`: the answer was JSON as it stood; otherwise it had to be found in, or mended from, the text. */
  repair: RepairLevel;
}

/** Longest answer that mending is tried on, in characters. */
const repairBound = 1_000_000;
/** Milliseconds for all mending of an answer: jsonrepair is fast on what a model gets wrong, and quadratic on what is made for that. */
const repairMs = 500;
/** Most stretches of each kind that are looked at, from the end: to find out that one is no JSON takes some microseconds. */
const maxCandidates = 1_000;

/**
 * Finds the JSON object in an agent's answer: the whole text, then fenced blocks (the last one first), then balanced
 * braces (the last object first: agents think aloud before they answer), then the same mended by jsonrepair. Takes time
 * in proportion to the text, whatever is in it. Null when there is no object in it.
 */
export function extractJson(text: string): ExtractedJson | null {
  const whole = parseObject(text.trim());
  if (whole) return { value: whole, repair: "none" };
  const candidates = [...fencedBlocks(text), ...balancedObjects(text)].map(([from, to]) =>
    text.slice(from, to),
  );
  const found = firstOf(candidates, parseObject);
  if (found) return { value: found, repair: "deterministic_generic" };
  const start = text.indexOf("{");
  if (start < 0 || text.length > repairBound) return null;
  const mended = repairFirst([...candidates, text.slice(start)]);
  return mended && { value: mended, repair: "deterministic_generic" };
}

/** Where a stretch of a text begins, and the first character behind it. */
type Stretch = readonly [from: number, to: number];

function firstOf<T>(candidates: readonly string[], read: (text: string) => T | null): T | null {
  for (const candidate of candidates) {
    const value = read(candidate);
    if (value !== null) return value;
  }
  return null;
}

/** The last of so many that there may be, the very last first. */
function lastOf() {
  const kept: Stretch[] = [];
  return {
    add(stretch: Stretch) {
      kept.push(stretch);
      if (kept.length >= 2 * maxCandidates) kept.splice(0, maxCandidates);
    },
    list: () => kept.slice(-maxCandidates).reverse(),
  };
}

/** What stands between a line that ends with ``` and a word or none, and the next ```. */
function fencedBlocks(text: string): Stretch[] {
  const found = lastOf();
  // Sticky: it is tried where a fence is, and ends where the white space does.
  const opening = /`{3,}[\w-]*\s*/y;
  for (let at = text.indexOf("```"); at >= 0; at = text.indexOf("```", at)) {
    opening.lastIndex = at;
    const fence = opening.exec(text)?.[0] ?? "";
    const from = at + fence.length;
    at = from;
    if (!fence.includes("\n")) continue;
    const to = text.indexOf("```", from);
    if (to < 0) break;
    found.add([from, to]);
    at = to + 3;
  }
  return found.list();
}

/** Outermost `{...}` stretches, aware of strings, the last one first. */
function balancedObjects(text: string): Stretch[] {
  const found = lastOf();
  let depth = 0;
  let start = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (inString) {
      if (char === "\\") at += 1;
      else if (char === '"') inString = false;
    } else if (char === '"' && depth > 0) inString = true;
    else if (char === "{") {
      if (depth === 0) start = at;
      depth += 1;
    } else if (char === "}" && depth > 0) {
      depth -= 1;
      if (depth === 0) found.add([start, at + 1]);
    }
  }
  return found.list();
}

/** The first that can be mended, as long as there is time. */
function repairFirst(candidates: readonly string[]): Record<string, unknown> | null {
  try {
    return createTimeLimit(repairMs)(() => firstOf(candidates, repairObject));
  } catch (error) {
    if (error instanceof OutOfTime) return null;
    throw error;
  }
}

function repairObject(text: string): Record<string, unknown> | null {
  if (!text.includes("{")) return null;
  try {
    return parseObject(jsonrepair(text));
  } catch {
    return null;
  }
}

function parseObject(text: string): Record<string, unknown> | null {
  if (!text.startsWith("{")) return null;
  try {
    const value: unknown = JSON.parse(text);
    return isJsonObject(value) ? value : null;
  } catch {
    return null;
  }
}
