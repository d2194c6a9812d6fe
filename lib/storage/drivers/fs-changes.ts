import { randomUUID } from "node:crypto";
import { readdir, readFile, unlink } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import type { TextChange } from "../record-driver.ts";
import { nullIfMissing, replaceFile, syncPath, temporaryPrefix } from "../replace-file.ts";

/** Changes of several files at once. */
export interface FsChanges {
  make(changes: readonly TextChange[]): Promise<boolean>;
  /** Makes what a crash kept from being made. */
  complete(): Promise<void>;
  /** Resolves when no change is at work on a key. */
  settled(key: string): Promise<void>;
}

const retryMs = 250;

const journalled = z.array(z.object({ key: z.string(), to: z.string().nullable() }));

/**
 * A change of several records is written down as a whole first; from then on it is made, by this process or by the next
 * (a redo log). Readers wait for a record that a change is at work on.
 * @param parts.folder absolute: where the changes in progress are written down
 */
export function createFsChanges(parts: {
  folder: string;
  writer: string;
  read(key: string): Promise<string | null>;
  write(key: string, value: string): Promise<void>;
  remove(key: string): Promise<void>;
}): FsChanges {
  const { folder, writer, read, write, remove } = parts;
  const busy = new Map<string, Promise<unknown>>();
  const settled = async (key: string) => {
    for (let change = busy.get(key); change !== undefined; change = busy.get(key)) await change;
  };
  const apply = async (changes: readonly Pick<TextChange, "key" | "to">[]) => {
    for (const { key, to } of changes) await (to === null ? remove(key) : write(key, to));
  };
  const complete = async (journal: string) => {
    const content = await readFile(journal, "utf8").catch(nullIfMissing);
    if (content !== null) await apply(journalled.parse(JSON.parse(content)));
    await unlink(journal).catch(nullIfMissing);
    // It must not come back: it would undo what is written later.
    await syncPath(folder);
  };
  const change = async (changes: readonly TextChange[]) => {
    for (const { key, from } of changes) if (from !== undefined && (await read(key)) !== from) return false;
    if (changes.length === 1) await apply(changes);
    else {
      const journal = join(folder, randomUUID());
      await replaceFile(journal, JSON.stringify(changes.map(({ key, to }) => ({ key, to }))), { writer });
      // From here on it is made: a full disk only makes it wait.
      while (
        !(await complete(journal).then(
          () => true,
          () => false,
        ))
      ) {
        await sleep(retryMs, undefined, { ref: false });
      }
    }
    return true;
  };
  return {
    settled,
    async make(changes) {
      const keys = changes.map(({ key }) => key);
      for (let taken = true; taken; ) {
        for (const key of keys) await settled(key);
        taken = keys.some((key) => busy.has(key));
      }
      const made = change(changes);
      const done = made
        .catch(() => undefined)
        .finally(() => {
          for (const key of keys) busy.delete(key);
        });
      for (const key of keys) busy.set(key, done);
      return made;
    },
    async complete() {
      for (const name of (await readdir(folder).catch(nullIfMissing)) ?? []) {
        const path = join(folder, name);
        await (name.startsWith(temporaryPrefix) ? unlink(path) : complete(path));
      }
    },
  };
}
