import { z } from "zod";
import { pageOf, type RecordDriver, type TextChange } from "../record-driver.ts";
import { createS3Bucket, type S3Object, type S3Options } from "./s3-bucket.ts";

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
  /** Writes the rest of a change, and what the object is to hold afterwards. */
  const complete = async (key: string, { bytes, etag }: S3Object): Promise<string | null> => {
    const { to, others } = changeObject.parse(JSON.parse(Buffer.from(bytes).toString()));
    for (const other of others) {
      // What has another ETag by now was written by whoever came before, or after: either way it stays.
      if (other.to !== null) await bucket.put(objectOf(other.key), other.to, { over: { etag: other.over } });
      else if (other.over !== null) await bucket.remove(objectOf(other.key), other.over);
    }
    if (to === null) await bucket.remove(objectOf(key), etag);
    else await bucket.put(objectOf(key), to, { over: { etag } });
    return to;
  };
  /** The object of a record, with no change in it. */
  const settled = async (key: string): Promise<S3Object | null> => {
    for (;;) {
      const found = await bucket.get(objectOf(key));
      if (found === null || !found.isChange) return found;
      const to = await complete(key, found);
      // Removed, but its name may be seen for a moment.
      if (to === null) return null;
    }
  };
  const change = async (changes: readonly TextChange[]): Promise<boolean> => {
    const [first, ...others] = changes;
    if (first === undefined) return true;
    const current = await settled(first.key);
    if (!fits(first, current)) return false;
    const planned = [];
    for (const other of others) {
      const there = await settled(other.key);
      if (!fits(other, there)) return false;
      planned.push({ key: other.key, to: other.to, over: there?.etag ?? null });
    }
    const name = objectOf(first.key);
    const over = { etag: current?.etag ?? null };
    if (others.length === 0 && first.to !== null) {
      if (await bucket.put(name, first.to, { over })) return true;
    } else {
      const body = JSON.stringify({ to: first.to, others: planned });
      if (await bucket.put(name, body, { over, isChange: true })) {
        await settled(first.key);
        return true;
      }
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
    change,
    hasItem: async (key) => (await settled(key)) !== null,
    async getItem(key) {
      const found = await settled(key);
      return found === null ? null : Buffer.from(found.bytes).toString();
    },
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

function fits({ from }: TextChange, found: S3Object | null): boolean {
  if (from === undefined) return true;
  return from === (found === null ? null : Buffer.from(found.bytes).toString());
}
