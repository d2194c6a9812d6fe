import { createRedactor, type Redactor, redacted, spellingsOf } from "./redactor.ts";

/** Takes the same secrets out of whatever comes of a turn. */
export interface Cleaner {
  /** For pieces of a text, or of a stream of bytes. */
  stream(): Redactor;
  text(text: string): string;
  /** What JSON was read into: texts in it, names too, and numbers. The same object where there is nothing in it. */
  value(value: unknown): unknown;
  isClean(text: string): boolean;
}

/** A cleaner for these texts, however JSON or a URL spells them. */
export function createCleaner(secrets: readonly string[]): Cleaner {
  const needles = [...new Set(secrets.flatMap(spellingsOf))];
  const isClean = (text: string) => !needles.some((needle) => text.includes(needle));
  const text = (dirty: string): string => {
    if (isClean(dirty)) return dirty;
    const redactor = createRedactor(secrets);
    return Buffer.concat([redactor.push(Buffer.from(dirty)), redactor.end()]).toString();
  };
  const walk = (dirty: unknown): unknown => {
    if (typeof dirty === "string") return text(dirty);
    if (typeof dirty === "number") return isClean(String(dirty)) ? dirty : redacted;
    if (Array.isArray(dirty)) return dirty.map(walk);
    if (typeof dirty !== "object" || dirty === null) return dirty;
    return Object.fromEntries(Object.entries(dirty).map(([name, inner]) => [text(name), walk(inner)]));
  };
  return {
    stream: () => createRedactor(secrets),
    text,
    value: (dirty) => (needles.length === 0 || isClean(JSON.stringify(dirty) ?? "") ? dirty : walk(dirty)),
    isClean,
  };
}
