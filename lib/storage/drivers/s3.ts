import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { pageOf, type RecordDriver, type TextChange } from "../record-driver.ts";
import { createS3Bucket, type S3Object, type S3Options } from "./s3-bucket.ts";
import { isPassingInS3 } from "./s3-refusals.ts";

/** What an object holds while a change of several records is being made: its own new text, and the others. */
const changeObject = z.object({
  /** Null: it is to be removed. */
  to: z.string().nullable(),
  others: z.array(
    z.object({
      key: z.string(),
      to: z.string().nullable(),
      /** The ETag of what it is to replace; null: there was none. */
      over: z.string().nullable(),
    }),
  ),
});

/** A record, and the ETag of the object that stands for it; that of one that says "removed" too. */
interface Standing {
  text: string | null;
  etag: string | null;
}

/** Milliseconds after which nobody is still about to remove a record: on servers that remove without a condition. */
const removalMs = 5_000;
const stuckMs = 30_000;
const pauseMs = 20;

/**
 * Records as objects of a bucket, for any S3 API that knows conditional writes (If-Match and If-None-Match on PUT: Amazon,
 * MinIO, Ceph, R2 ...). unstorage's own driver has none, lists without prefix and only the first thousand names.
 *
 * S3 has no transactions. A change of several records is written into the first one's object, under its condition: that is
 * the moment it is made. Whoever reads that object writes the others before going on, should the first writer have died.
 */
export function s3Driver(options: S3Options): RecordDriver {
  const bucket = createS3Bucket(options);
  const objectOf = (key: string) => key.replaceAll(":", "/");
  /** Writes the rest of a change, then what its object is to hold. */
  const complete = async (key: string, { bytes, etag }: S3Object): Promise<"written" | "removed"> => {
    const { to, others } = changeObject.parse(JSON.parse(Buffer.from(bytes).toString()));
    for (const other of others) {
      // What has another ETag by now was written by whoever came before, or after: either way it stays.
      if (other.to !== null) await bucket.put(objectOf(other.key), other.to, { over: { etag: other.over } });
      else if (other.over !== null) await bucket.remove(objectOf(other.key), other.over);
    }
    if (to === null) {
      if (bucket.removesConditionally) await bucket.remove(objectOf(key), etag);
      return "removed";
    }
    await bucket.put(objectOf(key), to, { over: { etag } });
    return "written";
  };
  /** What stands there, with no change left in it. */
  const standing = async (key: string, willWrite = false): Promise<Standing> => {
    const began = Date.now();
    for (;;) {
      if (Date.now() - began > stuckMs) throw new Error("a change of several records could not be completed");
      const found = await bucket.get(objectOf(key));
      if (found === null) return { text: null, etag: null };
      if (!found.isChange) return { text: Buffer.from(found.bytes).toString(), etag: found.etag };
      if ((await complete(key, found)) === "removed" && !bucket.removesConditionally) {
        // Whoever removes it is about to, and would remove what is written over it now.
        if (!willWrite) return { text: null, etag: null };
        if (Date.now() - began > removalMs) return { text: null, etag: found.etag };
        await sleep(pauseMs);
      }
    }
  };
  const change = async (changes: readonly TextChange[]): Promise<boolean> => {
    const [first, ...others] = changes;
    if (first === undefined) return true;
    const current = await standing(first.key, true);
    if (!fits(first, current)) return false;
    const planned = [];
    for (const other of others) {
      const there = await standing(other.key);
      if (!fits(other, there)) return false;
      planned.push({ key: other.key, to: other.to, over: there.etag });
    }
    const name = objectOf(first.key);
    const over = { etag: current.etag };
    const isWhole = others.length === 0 && first.to !== null;
    const body = isWhole ? first.to : JSON.stringify({ to: first.to, others: planned });
    if (body !== null && (await bucket.put(name, body, { over, isChange: !isWhole }))) {
      if (!isWhole) await standing(first.key);
      if (first.to === null && !bucket.removesConditionally) await bucket.remove(name);
      return true;
    }
    // Without a condition of its own, whoever came in between does not matter.
    return first.from === undefined ? change(changes) : false;
  };
  return {
    name: "s3",
    async open() {
      await bucket.open();
      return [];
    },
    isPassing: isPassingInS3,
    change,
    hasItem: async (key) => (await standing(key)).text !== null,
    getItem: async (key) => (await standing(key)).text,
    getItemRaw: async (key) => (await bucket.get(objectOf(key)))?.bytes ?? null,
    async setItem(key, value) {
      await bucket.put(objectOf(key), value);
    },
    async setItemRaw(key, value: Uint8Array) {
      await bucket.put(objectOf(key), value);
    },
    removeItem: (key) => bucket.remove(objectOf(key)),
    async children(prefix, page) {
      const base = prefix === "" ? "" : `${objectOf(prefix)}/`;
      return pageOf(
        (await bucket.list(base, "one")).map((name) => name.slice(base.length)),
        page,
      );
    },
    async clearPrefix(prefix) {
      for (const name of await bucket.list(`${objectOf(prefix)}/`, "all")) await bucket.remove(name);
    },
    getKeys: async (prefix) =>
      (await bucket.list(objectOf(prefix), "all")).map((name) => name.replaceAll("/", ":")),
    clear: () => Promise.reject(new Error("not offered: it would take what others keep in this bucket")),
    dispose: () => bucket.close(),
  };
}

function fits({ from }: TextChange, { text }: Standing): boolean {
  return from === undefined || from === text;
}
