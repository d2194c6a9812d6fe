import type { Driver } from "unstorage";

/** One record of a change, as text. */
export interface TextChange {
  key: string;
  /** What must stand there for the change to be made; null: nothing. Absent: whatever it is. */
  from?: string | null;
  /** What stands there afterwards; null: nothing. */
  to: string | null;
}

/** Which of the names below a prefix are wanted. */
export interface Page {
  /** From the last to the first. */
  reverse?: boolean;
  /** Only names that come after this one, in the order asked for. */
  beyond?: string | undefined;
  /** At most so many. */
  limit?: number;
}

/** What a storage backend can do beyond unstorage's `Driver`: the conformance suite holds every one to it. */
export interface RecordDriver extends Driver {
  /**
   * Names one level below `prefix` (a key or ""), ascending: both records and the folders of longer keys. Reading a page
   * costs as much as the page, not as the key space, wherever the backend can do that.
   */
  children(prefix: string, page: Page): Promise<string[]>;
  clearPrefix(prefix: string): Promise<void>;
  getItemRaw(key: string): Promise<Uint8Array | null>;
  setItemRaw(key: string, bytes: Uint8Array): Promise<void>;
  /**
   * Makes all of the changes or none of them, also when the process dies meanwhile. Two with a key in common do not mix.
   * @returns false when something was not as it was expected to be
   */
  change(changes: readonly TextChange[]): Promise<boolean>;
  /** Whether an error says that the backend cannot be reached, or not now, and nothing of what was asked. */
  isPassing?(error: unknown): boolean;
  /** Sees that the backend is there and fit; called once, before anything else. @returns what an operator should know */
  open?(): Promise<string[]>;
}

/** Cuts a page out of names that were all read. */
export function pageOf(names: Iterable<string>, { reverse = false, beyond, limit }: Page): string[] {
  const sorted = [...new Set(names)].sort();
  if (reverse) sorted.reverse();
  const wanted =
    beyond === undefined ? sorted : sorted.filter((name) => (reverse ? name < beyond : name > beyond));
  return wanted.slice(0, limit);
}

/** The name one level below a base (a prefix with its ":"; or ""). */
export function nameBelow(base: string, key: string): string {
  const rest = key.slice(base.length);
  const end = rest.indexOf(":");
  return end < 0 ? rest : rest.slice(0, end);
}
