/** The operator's caps: most jobs of an engine, and of a skill, that run at once. What is not named has none. */
export interface RunLimits {
  engines: ReadonlyMap<string, number>;
  skills: ReadonlyMap<string, number>;
}

/** A cap, and how many runs count towards it now. */
export interface LimitUse {
  limit: number;
  running: number;
}

const name = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
const positive = /^[1-9]\d{0,8}$/;

/**
 * Reads `codex=2,gemini=4`.
 * @throws Error saying which entry cannot be used
 */
export function parseLimits(text: string): ReadonlyMap<string, number> {
  const limits = new Map<string, number>();
  for (const entry of text.split(",").map((part) => part.trim())) {
    if (entry === "") continue;
    const [named = "", most = "", ...more] = entry.split("=").map((part) => part.trim());
    if (!name.test(named) || !positive.test(most) || more.length > 0) {
      throw new Error(`"${entry}" is not NAME=NUMBER with a whole number of 1 or more, such as codex=2`);
    }
    if (limits.has(named)) throw new Error(`"${named}" is named twice`);
    limits.set(named, Number(most));
  }
  return limits;
}

const engineLabel = (engine: string) => `engine:${engine}`;
const skillLabel = (skill: string) => `skill:${skill}`;

/** What a run of this engine and skill counts as. */
export function labelsOf(engine: string, skill: string): readonly string[] {
  return [engineLabel(engine), skillLabel(skill)];
}

/** The caps by label, as the gate takes them. */
export function capsOf({ engines, skills }: RunLimits): ReadonlyMap<string, number> {
  return new Map([
    ...[...engines].map(([engine, most]) => [engineLabel(engine), most] as const),
    ...[...skills].map(([skill, most]) => [skillLabel(skill), most] as const),
  ]);
}

/** The caps and how much of each is taken. */
export function describeLimits(
  { engines, skills }: RunLimits,
  running: (label: string) => number,
): Record<keyof RunLimits, Record<string, LimitUse>> {
  const use = (limits: ReadonlyMap<string, number>, label: (named: string) => string) =>
    Object.fromEntries(
      [...limits].map(([named, limit]) => [named, { limit, running: running(label(named)) }]),
    );
  return { engines: use(engines, engineLabel), skills: use(skills, skillLabel) };
}
