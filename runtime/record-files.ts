import { resolve } from "node:path";
import type { Config } from "./config.ts";

/**
 * The files of a database that lies elsewhere: SQLite keeps two beside its own (https://sqlite.org/wal.html). Of PostgreSQL the
 * key that the URL names (https://node-postgres.com/features/ssl).
 */
export function recordFilesOf(storage: Config["storage"]): string[] {
  if (storage.kind === "postgres") {
    const key = new URL(storage.url).searchParams.get("sslkey");
    return key === null ? [] : [resolve(key)];
  }
  if (storage.kind !== "sqlite" || storage.path === null) return [];
  return ["", "-wal", "-shm"].map((ending) => `${storage.path}${ending}`);
}
