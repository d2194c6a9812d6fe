import type { RecordStore } from "./record-store.ts";

/** Stands in a storage while records are copied into it, and in one where that was cut off: what is there is a part. */
export const copyMark = "copying";

export interface CopyOptions {
  /** The first parts of the keys that are copied, in this order. */
  names: readonly string[];
  /** Keys that hold bytes and no record. */
  holdsBytes(key: string): boolean;
  /** Keys, and what is below them, that stay where they are. */
  skips(key: string): Promise<boolean>;
  onCopied(): void;
  /** Told of each key that holds nothing that can be read. */
  onUnreadable(key: string): void;
}

/**
 * Copies records from one store into another, which nobody else writes to meanwhile. What stands there is replaced.
 * @throws Error that names the key when the storage fails
 */
export async function copyRecords(from: RecordStore, to: RecordStore, options: CopyOptions): Promise<void> {
  const visit = async (key: string): Promise<void> => {
    if (await options.skips(key)) return;
    if (await copyOne(from, to, key, options.holdsBytes(key)).catch(naming(key))) return options.onCopied();
    if (await from.holds(key)) return options.onUnreadable(key);
    for (const name of await from.children(key)) await visit(`${key}:${name}`);
  };
  const present = new Set(await from.children(""));
  for (const name of options.names) if (present.has(name)) await visit(name);
}

/** Removes what begins with these names, and nothing beside it. */
export async function clearRecords(records: RecordStore, names: readonly string[]): Promise<void> {
  const present = new Set(await records.children(""));
  for (const name of names) if (present.has(name)) await records.clear(name);
}

/** False when a key is no record, but the beginning of others. */
async function copyOne(from: RecordStore, to: RecordStore, key: string, isBytes: boolean): Promise<boolean> {
  if (isBytes) {
    const bytes = await from.readBytes(key);
    if (bytes === null) return false;
    await to.writeBytes(key, bytes);
    return true;
  }
  const value = await from.read(key);
  if (!(value instanceof Object)) return false;
  await to.write(key, value);
  return true;
}

function naming(key: string): (error: unknown) => never {
  return (error) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`${key} was not copied. ${reason}`, { cause: error });
  };
}
