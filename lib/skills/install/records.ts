import { type InstallRecord, installRecord } from "./record.ts";

/** Small JSON records by key, as the server's storage keeps them. Keys are segments joined with ":". */
export interface Records {
  read(key: string): Promise<unknown>;
  /** Whole or not at all; durable when it resolves. */
  write(key: string, value: object): Promise<void>;
  remove(key: string): Promise<void>;
  /** Names one level below `prefix`, ascending. */
  children(prefix: string): Promise<string[]>;
}

/** The records of the installs: those that are under way, and the last ones that have ended. */
export interface InstallRecords {
  /** Null when there is none, or none that can be understood. */
  read(id: string): Promise<InstallRecord | null>;
  /** Durable when it resolves. Sets `updated_at`. */
  save(record: InstallRecord): Promise<void>;
  remove(id: string): Promise<void>;
  /** Oldest first. */
  ids(): Promise<string[]>;
  /** Removes all but the last ones; of those only what has ended. */
  forgetOldest(): Promise<void>;
}

const keptInstalls = 50;
const prefix = "skill_installs";

export function createInstallRecords(records: Records): InstallRecords {
  const keyOf = (id: string) => `${prefix}:${id}`;
  const read = async (id: string) => {
    const parsed = installRecord.safeParse(isId(id) ? await records.read(keyOf(id)) : null);
    return parsed.success ? parsed.data : null;
  };
  const ids = async () => (await records.children(prefix)).filter(isId);
  return {
    read,
    ids,
    async save(record) {
      record.updated_at = new Date().toISOString();
      await records.write(keyOf(record.request_id), record);
    },
    remove: (id) => records.remove(keyOf(id)),
    async forgetOldest() {
      for (const id of (await ids()).slice(0, -keptInstalls)) {
        const record = await read(id);
        if (record === null || !isOpen(record)) await records.remove(keyOf(id));
      }
    },
  };
}

/** Whether something is still to be done for an install. */
export function isOpen({ status, journal }: InstallRecord): boolean {
  return status === "queued" || status === "running" || journal !== null;
}

/** A ULID. */
function isId(text: string): boolean {
  return /^[0-9A-HJKMNP-TV-Z]{26}$/.test(text);
}
