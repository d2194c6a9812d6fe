import { jsonrepair } from "jsonrepair";
import { isJsonObject } from "../json.ts";

export type RepairLevel = "none" | "deterministic_generic";

export interface ExtractedJson {
  value: Record<string, unknown>;
  /** `none`: the answer was JSON as it stood; otherwise it had to be found in, or mended from, the text. */
  repair: RepairLevel;
}

/** Longest answer that mending is tried on, in characters: jsonrepair is linear but not free. */
const repairBound = 1_000_000;

/**
 * Finds the JSON object in an agent's answer: the whole text, then fenced blocks (the last one first), then balanced
 * braces (the last object first: agents think aloud before they answer), then the same mended by jsonrepair.
 * Null when there is no object in it.
 */
export function extractJson(text: string): ExtractedJson | null {
  const whole = parseObject(text.trim());
  if (whole) return { value: whole, repair: "none" };
  const candidates = [...fencedBlocks(text), ...balancedObjects(text)];
  for (const candidate of candidates) {
    const value = parseObject(candidate);
    if (value) return { value, repair: "deterministic_generic" };
  }
  const start = text.indexOf("{");
  if (start < 0 || text.length > repairBound) return null;
  for (const candidate of [...candidates, text.slice(start)]) {
    const value = repairObject(candidate);
    if (value) return { value, repair: "deterministic_generic" };
  }
  return null;
}

function fencedBlocks(text: string): string[] {
  return [...text.matchAll(/```[\w-]*\s*\n([\s\S]*?)```/g)].map((match) => match[1] ?? "").reverse();
}

/** Outermost `{...}` stretches, aware of strings, the last one first. */
function balancedObjects(text: string): string[] {
  const found: string[] = [];
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
      if (depth === 0) found.push(text.slice(start, at + 1));
    }
  }
  return found.reverse();
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
