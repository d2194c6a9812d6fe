import { existsSync } from "node:fs";

/** What stands in the place of a secret. */
export const redacted = "[redacted]";
const mark = Buffer.from(redacted);

/** Real keys are longer; shorter texts may stand in what is no secret, such as the words of a CLI's own protocol. */
const leastLength = 16;
const mostSecrets = 64;
const secretName =
  /(^|_)(API_?KEY|ACCESS_KEY|PRIVATE_KEY|SECRET_KEY|SECRET|TOKEN|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|PAT)$/i;

/** Takes secrets out of a stream of bytes, also where one is cut by the border of two pieces. */
export interface Redactor {
  /** The piece without secrets. Its last bytes may come with the next one, where they could begin a secret. */
  push(piece: Buffer): Buffer;
  /** What was held back. */
  end(): Buffer;
}

/** A number of more digits than a key has, all the same. */
const countName = /(^|_)(MAX|MIN|NUM|NUMBER|COUNT|LIMIT|RATE|SIZE|COST|PRICE|TTL)(_|$)/i;
/** Where its value is the path of a file, whether it is there or not. */
const pathName = /(CREDENTIALS?|FILE|PATH)$/i;

/**
 * The secrets in an agent's environment: its keys, and what is called so by the end of its name (a caller's own variables may
 * hold anything). One of several lines is printed line by line, so each line is one. At most 64, its keys first. A path is none
 * (a key may begin with "/", too, but there is no such file), nor is what is called a number.
 */
export function secretsOf(
  environment: Readonly<Record<string, string>>,
  keyVariables: readonly string[],
): string[] {
  const isKey = (name: string) => keyVariables.includes(name);
  const entries = Object.entries(environment).filter(([name]) => isKey(name) || secretName.test(name));
  return [...entries.filter(([name]) => isKey(name)), ...entries.filter(([name]) => !isKey(name))]
    .flatMap(([name, value]) => value.split(/[\r\n]+/).map((line) => ({ name, line: line.trim() })))
    .filter(({ line }) => line.length >= leastLength)
    .filter(({ name, line }) => !isPath(name, line) && !isCount(name, line))
    .slice(0, mostSecrets)
    .map(({ line }) => line);
}

function isPath(name: string, value: string): boolean {
  return value.startsWith("/") && (pathName.test(name) || existsSync(value));
}

function isCount(name: string, value: string): boolean {
  const digits = value.replace(/[.,\s]/g, "");
  return /^\d*$/.test(digits) && (digits.length < leastLength || countName.test(name));
}

/** A redactor for these texts, as they are and as JSON or a URL spells them. */
export function createRedactor(secrets: readonly string[]): Redactor {
  const needles = [...new Set(secrets.flatMap(spellingsOf))].map((text) => createNeedle(Buffer.from(text)));
  if (needles.length === 0) return { push: (piece) => piece, end: () => Buffer.alloc(0) };
  const longest = Math.max(...needles.map(({ length }) => length));
  let held: Buffer = Buffer.alloc(0);

  /** What of `bytes` is clean by now. Unless they are the last, what could begin a secret is kept back. */
  const take = (bytes: Buffer, isLast: boolean): Buffer => {
    const tail = bytes.subarray(Math.max(0, bytes.length - longest));
    const open = isLast ? 0 : Math.max(...needles.map((needle) => needle.begunAtEndOf(tail)));
    const until = bytes.length - open;
    const kept: Buffer[] = [];
    let from = 0;
    // Where two of them overlap, nothing of either stays.
    for (const { at, end } of needles.flatMap((needle) => needle.allIn(bytes)).sort((a, b) => a.at - b.at)) {
      if (at >= until) break;
      if (at >= from) kept.push(bytes.subarray(from, at), mark);
      from = Math.max(from, end);
    }
    held = Buffer.from(bytes.subarray(Math.max(until, from)));
    if (from < until) kept.push(bytes.subarray(from, until));
    return kept.length === 1 && kept[0] !== undefined ? kept[0] : Buffer.concat(kept);
  };
  return {
    push: (piece) => take(held.length === 0 ? piece : Buffer.concat([held, piece]), false),
    end: () => take(held, true),
  };
}

/** One whole text without these secrets. */
export function redact(text: string, secrets: readonly string[]): string {
  const redactor = createRedactor(secrets);
  return Buffer.concat([redactor.push(Buffer.from(text)), redactor.end()]).toString();
}

/** How a secret may be spelled where it is printed. */
export function spellingsOf(secret: string): string[] {
  // What has no UTF-8 comes out of the agent as what has.
  const text = Buffer.from(secret).toString();
  const inJson = (plain: string) => JSON.stringify(plain).slice(1, -1);
  // An answer is JSON in the text of an event, which is JSON.
  return [text, inJson(text), inJson(inJson(text)), encodeURIComponent(text)];
}

/** One text to look for. Each piece is gone through once, whatever is in it. */
function createNeedle(bytes: Buffer) {
  // Knuth, Morris, Pratt (1977): the longest beginning that also ends at each place.
  const fallback = new Int32Array(bytes.length);
  const follow = (state: number, byte: number | undefined): number => {
    let known = state;
    while (known > 0 && bytes[known] !== byte) known = fallback[known - 1] ?? 0;
    return bytes[known] === byte ? known + 1 : 0;
  };
  for (let n = 1; n < bytes.length; n++) fallback[n] = follow(fallback[n - 1] ?? 0, bytes[n]);
  return {
    length: bytes.length,
    allIn(text: Buffer): { at: number; end: number }[] {
      const found = [];
      for (let at = text.indexOf(bytes); at >= 0; at = text.indexOf(bytes, at + bytes.length))
        found.push({ at, end: at + bytes.length });
      return found;
    },
    /** How many of the last bytes begin it, without being all of it. */
    begunAtEndOf(text: Buffer): number {
      let state = 0;
      for (const byte of text) {
        if (state === bytes.length) state = fallback[state - 1] ?? 0;
        state = follow(state, byte);
      }
      return state === bytes.length ? (fallback[state - 1] ?? 0) : state;
    },
  };
}
