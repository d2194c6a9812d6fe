import type { RecordStore } from "./record-store.ts";

/** A part of a storage as one of its own: what is one server's alone where several share it. */
export function scopedRecords(records: RecordStore, prefix: string): RecordStore {
  const at = (key: string) => `${prefix}:${key}`;
  return {
    read: (key) => records.read(at(key)),
    holds: (key) => records.holds(at(key)),
    write: (key, value, options) => records.write(at(key), value, options),
    create: (key, value) => records.create(at(key), value),
    change: (changes) => records.change(changes.map((change) => ({ ...change, key: at(change.key) }))),
    remove: (key, options) => records.remove(at(key), options),
    children: (below, page) => records.children(at(below), page),
    clear: (below) => records.clear(at(below)),
    readBytes: (key) => records.readBytes(at(key)),
    writeBytes: (key, bytes) => records.writeBytes(at(key), bytes),
    // It is closed with the whole.
    close: async () => undefined,
  };
}
