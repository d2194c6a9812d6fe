import { RunnerError } from "../errors.ts";
import { parseJson } from "../json.ts";

export type Settings = Readonly<Record<string, unknown>>;

/** Lays settings over each other, lowest first: objects are merged key by key, anything else is replaced. */
export function layerSettings(...layers: readonly Settings[]): Settings {
  return layers.reduce(over, {});
}

/**
 * Reads the settings file a skill brings for an agent.
 * @param config its text, or null when the skill has none
 * @param reserved keys (dotted paths) a skill may not set
 * @throws RunnerError SKILL_INVALID when it is no JSON object or sets a reserved key
 */
export function skillSettings(agentId: string, config: string | null, reserved: readonly string[]): Settings {
  if (config === null) return {};
  const settings = parseJson(config);
  if (!isObject(settings)) {
    throw new RunnerError("SKILL_INVALID", `The skill's ${agentId} config is not a JSON object.`);
  }
  const forbidden = reserved.filter((path) => has(settings, path.split(".")));
  if (forbidden.length > 0) {
    throw new RunnerError(
      "SKILL_INVALID",
      `The skill's ${agentId} config may not set ${forbidden.join(", ")}.`,
    );
  }
  return settings;
}

function over(low: Settings, high: Settings): Settings {
  // A map, because assigning a key named __proto__ would not set a key.
  const merged = new Map(Object.entries(low));
  for (const [key, value] of Object.entries(high)) {
    const below = merged.get(key);
    merged.set(key, isObject(below) && isObject(value) ? over(below, value) : value);
  }
  return Object.fromEntries(merged);
}

function has(value: unknown, [key, ...rest]: readonly string[]): boolean {
  if (key === undefined) return true;
  return isObject(value) && Object.hasOwn(value, key) && has(value[key], rest);
}

function isObject(value: unknown): value is Settings {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
