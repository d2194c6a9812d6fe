import type { RecordStore } from "./record-store.ts";

export interface CopyOptions {
  /** Keys that hold bytes and no record. */
  holdsBytes(key: string): boolean;
  /** Keys, and what is below them, that stay where they are. */
  skips(key: string): boolean;
  onCopied(): void;
}

/** Copies every record from one store into another, which nobody else writes to meanwhile. What stands there is replaced. */
export async function copyRecords(from: RecordStore, to: RecordStore, options: CopyOptions): Promise<void> {
  const below = async (prefix: string): Promise<void> => {
    for (const name of await from.children(prefix)) {
      const key = prefix === "" ? name : `${prefix}:${name}`;
      if (options.skips(key)) continue;
      if (await copyOne(from, to, key, options.holdsBytes(key))) options.onCopied();
      else await below(key);
    }
  };
  await below("");
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
