import { crc32, deflateRawSync } from "node:zlib";

/** One entry of a zip made by hand for tests, honest unless told to lie. */
export interface FixtureEntry {
  name: string | Buffer;
  content?: Buffer | string;
  /** Default 0o100644, in the upper half of the external attributes. */
  mode?: number;
  dosAttributes?: number;
  /** Default: UTF-8 names. */
  flags?: number;
  method?: number;
  /** Lies of the directory. */
  declared?: { bytes?: number; packedBytes?: number; crc?: number; offset?: number };
  /** Packed bytes to use as they are. */
  packed?: Buffer;
  extra?: Buffer;
}

/** A zip file as a buffer; `declaredEntries` is the count that its end record claims. */
export function makeZip(entries: readonly FixtureEntry[], declaredEntries = entries.length): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const entry of entries) {
    const { name, content, packed, method, extra, flags } = complete(entry);
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(flags, 2);
    fields.writeUInt16LE(method, 4);
    fields.writeUInt32LE(entry.declared?.crc ?? crc32(content), 10);
    fields.writeUInt32LE(entry.declared?.packedBytes ?? packed.length, 14);
    fields.writeUInt32LE(entry.declared?.bytes ?? content.length, 18);
    fields.writeUInt16LE(name.length, 22);
    parts.push(Buffer.from("PK\x03\x04", "latin1"), fields, name, packed);

    const central = Buffer.alloc(46);
    central.write("PK\x01\x02", "latin1");
    central.writeUInt16LE((3 << 8) | 63, 4);
    fields.copy(central, 6);
    central.writeUInt16LE(extra.length, 30);
    const attributes = ((entry.mode ?? 0o100644) * 0x10000 + (entry.dosAttributes ?? 0)) >>> 0;
    central.writeUInt32LE(attributes, 38);
    central.writeUInt32LE(entry.declared?.offset ?? offset, 42);
    directory.push(central, name, extra);
    offset += 30 + name.length + packed.length;
  }
  const directoryBytes = directory.reduce((sum, part) => sum + part.length, 0);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(declaredEntries, 8);
  end.writeUInt16LE(declaredEntries, 10);
  end.writeUInt32LE(directoryBytes, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, ...directory, end]);
}

function complete(entry: FixtureEntry) {
  const content = Buffer.from(entry.content ?? "");
  const method = entry.method ?? 8;
  return {
    name: Buffer.from(entry.name),
    content,
    method,
    packed: entry.packed ?? (method === 8 ? deflateRawSync(content) : content),
    extra: entry.extra ?? Buffer.alloc(0),
    flags: entry.flags ?? 0x800,
  };
}
