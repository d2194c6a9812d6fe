import { createHash, timingSafeEqual } from "node:crypto";
import { entriesOf } from "./entries.ts";

/** What a key may do; each may also do what those before it may. */
export const scopes = ["read", "run", "admin"] as const;
export type Scope = (typeof scopes)[number];

/** One key of `SKILL_RUNNER_API_KEYS`. The key itself is known to its owner alone. */
export interface ApiKey {
  name: string;
  scope: Scope;
  /** SHA-256 of the key: enough for 256 random bits, which nobody can guess; passwords would need more. */
  hash: Buffer;
}

const howTo = "node scripts/api-key.mjs NAME SCOPE makes one";

/**
 * Reads `name:scope:sha256`, several with commas or white space between them.
 * @throws Error where there is none, which must not mean that nobody needs one; else saying which entry is wrong, by its place (a key pasted there by mistake must not get into a log)
 */
export function parseApiKeys(text: string): readonly ApiKey[] {
  const keys = entriesOf(text).map((entry, n) => {
    const match = /^([\w.-]{1,64}):(\w+):([0-9a-f]{64})$/i.exec(entry);
    const scope = scopes.find((known) => known === match?.[2]);
    if (match?.[1] === undefined || match[3] === undefined || scope === undefined)
      throw new Error(
        `entry ${n + 1} must be name:scope:hash with scope ${scopes.join(", ")} and the key's SHA-256 in hex; ${howTo}`,
      );
    return { name: match[1], scope, hash: Buffer.from(match[3], "hex") };
  });
  if (keys.length === 0) throw new Error(`there is no key in it; ${howTo}. Leave it out to go without`);
  const names = keys.map(({ name }) => name);
  const twice = names.find((name, n) => names.indexOf(name) !== n);
  if (twice !== undefined) throw new Error(`"${twice}" is there twice: each key has a name of its own`);
  const same = keys.find(({ hash }, n) => keys.some((other, m) => m < n && other.hash.equals(hash)));
  if (same !== undefined)
    throw new Error(`"${same.name}" has the hash of another: each name has a key of its own`);
  return keys;
}

/** The key with this text, or null. Takes the same time whichever it is, and however much of it is right. */
export function findKey(keys: readonly ApiKey[], text: string): ApiKey | null {
  const hash = createHash("sha256").update(text).digest();
  let found: ApiKey | null = null;
  for (const key of keys) if (timingSafeEqual(key.hash, hash)) found = key;
  return found;
}

/** Whom a request comes from, as its key says; null: there are no keys, and whoever is let in may do everything. */
export type Caller = Pick<ApiKey, "name" | "scope"> | null;

/** Whether a caller may do what needs `needed`: for what an endpoint does for some alone. */
export function isAllowed(caller: Caller, needed: Scope): boolean {
  return caller === null || mayDo(caller.scope, needed);
}

/** Whether a key with `scope` may do what needs `needed`. */
export function mayDo(scope: Scope, needed: Scope): boolean {
  return scopes.indexOf(scope) >= scopes.indexOf(needed);
}
