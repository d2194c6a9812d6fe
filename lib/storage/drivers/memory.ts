import type { Driver } from "unstorage";
import memory from "unstorage/drivers/memory";
import { nameBelow, pageOf, type RecordDriver, type TextChange } from "../record-driver.ts";

/** Keeps records in this process alone: for tests, and for tools that need none afterwards. */
export function memoryDriver(): RecordDriver {
  return onOneProcess(memory());
}

/**
 * What a plain unstorage driver lacks, for one process: changes take their turn. Whole also when the process dies only where
 * nothing outlives it.
 */
export function onOneProcess(driver: Driver): RecordDriver {
  let turn: Promise<unknown> = Promise.resolve();
  const keysBelow = async (base: string) =>
    (await driver.getKeys(base, {})).filter((key) => key.startsWith(base));
  const make = async (changes: readonly TextChange[]) => {
    for (const { key, from } of changes)
      if (from !== undefined && ((await driver.getItem(key, {})) ?? null) !== from) return false;
    for (const { key, to } of changes) {
      if (to === null) await driver.removeItem?.(key, {});
      else await driver.setItem?.(key, to, {});
    }
    return true;
  };
  return {
    ...driver,
    async getItemRaw(key) {
      const bytes: unknown = await driver.getItemRaw?.(key, {});
      return bytes instanceof Uint8Array ? bytes : null;
    },
    async setItemRaw(key, bytes) {
      await driver.setItemRaw?.(key, bytes, {});
    },
    async children(prefix, page) {
      const base = prefix === "" ? "" : `${prefix}:`;
      return pageOf(
        (await keysBelow(base)).map((key) => nameBelow(base, key)),
        page,
      );
    },
    async clearPrefix(prefix) {
      for (const key of await keysBelow(`${prefix}:`)) await driver.removeItem?.(key, {});
    },
    change(changes) {
      const made = turn.then(() => make(changes));
      turn = made.catch(() => undefined);
      return made;
    },
  };
}
