/** What stands in the place of a secret. */
export const redacted = "[redacted]";
const mark = Buffer.from(redacted);
/** Shorter texts stand in too many words that are no secret. */
const leastLength = 8;
const secretName = /KEY|TOKEN|SECRET|PASSW|CREDENTIAL/i;

/** Takes secrets out of a stream of bytes, also where one is cut by the border of two pieces. */
export interface Redactor {
  /** The piece without secrets. Its last bytes may come with the next one, where they could begin a secret. */
  push(piece: Buffer): Buffer;
  /** What was held back. */
  end(): Buffer;
}

/**
 * The secrets in an agent's environment: its keys, and what is called so by its name (a caller's own variables may hold
 * anything, and most of it is no secret).
 */
export function secretsOf(
  environment: Readonly<Record<string, string>>,
  keyVariables: readonly string[],
): string[] {
  return Object.entries(environment)
    .filter(
      ([name, value]) =>
        value.length >= leastLength && (keyVariables.includes(name) || secretName.test(name)),
    )
    .map(([, value]) => value);
}

/** A redactor for these texts, as they are and as JSON or a URL spells them. */
export function createRedactor(secrets: readonly string[]): Redactor {
  // An answer is JSON in the text of an event, which is JSON.
  const inJson = (text: string) => JSON.stringify(text).slice(1, -1);
  const spellings = secrets.flatMap((text) => [
    text,
    inJson(text),
    inJson(inJson(text)),
    encodeURIComponent(text),
  ]);
  const needles = [...new Set(spellings)].map((text) => Buffer.from(text));
  if (needles.length === 0) return { push: (piece) => piece, end: () => Buffer.alloc(0) };
  const longest = Math.max(...needles.map(({ length }) => length));
  let held: Buffer = Buffer.alloc(0);

  /** The first secret in `bytes` at or behind `from`; of two that begin there, the longer. */
  const firstIn = (bytes: Buffer, from: number) => {
    let first: { at: number; length: number } | null = null;
    for (const { at, length } of needles.map((needle) => ({
      at: bytes.indexOf(needle, from),
      length: needle.length,
    })))
      if (at >= 0 && (first === null || at < first.at || (at === first.at && length > first.length)))
        first = { at, length };
    return first;
  };
  /** How many of the last bytes could begin a secret. */
  const beginning = (bytes: Buffer) => {
    for (let length = Math.min(longest - 1, bytes.length); length > 0; length--) {
      const tail = bytes.subarray(bytes.length - length);
      if (needles.some((needle) => length < needle.length && needle.subarray(0, length).equals(tail)))
        return length;
    }
    return 0;
  };
  /** What of `bytes` is clean by now. What is not the last piece keeps back where a secret, or one that it is part of, may go on. */
  const take = (bytes: Buffer, isLast: boolean): Buffer => {
    const kept: Buffer[] = [];
    let from = 0;
    const openFrom = () => (isLast ? bytes.length : bytes.length - beginning(bytes.subarray(from)));
    let until = openFrom();
    for (let found = firstIn(bytes, from); found !== null && found.at < until; found = firstIn(bytes, from)) {
      kept.push(bytes.subarray(from, found.at), mark);
      from = found.at + found.length;
      until = openFrom();
    }
    held = bytes.subarray(until);
    const clean = bytes.subarray(from, until);
    return kept.length === 0 ? clean : Buffer.concat([...kept, clean]);
  };
  return {
    push: (piece) => take(held.length === 0 ? piece : Buffer.concat([held, piece]), false),
    end: () => take(held, true),
  };
}
