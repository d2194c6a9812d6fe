import { z } from "zod";
import { pageOf, type RecordDriver, type TextChange } from "../record-driver.ts";

/** Runs one statement with its parameters $1, $2 ... and gives its rows. */
export type Query = (statement: string, parameters?: readonly unknown[]) => Promise<readonly unknown[]>;

/** A database, so far as records need it. */
export interface SqlDatabase {
  name: string;
  dialect: {
    /** The type of a key whose order is that of its bytes, and the type of bytes. */
    keyType: string;
    bytesType: string;
    /** An expression for the part of `text` before the first "!", or all of it. */
    untilMark(text: string): string;
  };
  query: Query;
  /** Commits when `work` gives true; otherwise, and when it throws, nothing was done. */
  transaction(work: (query: Query) => Promise<boolean>): Promise<boolean>;
  isPassing(error: unknown): boolean;
  open(): Promise<string[]>;
  /** Sees that there is a table of this name. @param columns what is between the brackets of CREATE TABLE */
  ensureTable(name: string, columns: string): Promise<void>;
  close(): Promise<void>;
}

const table = "skill_runner_records";

const keyRow = z.object({ key: z.string() });
const valueRow = z.object({ value: z.string().nullable() });
const bytesRow = z.object({ bytes: z.instanceof(Uint8Array).nullable() });
const nameRow = z.object({ name: z.string() });

/**
 * Records in one table of an SQL database. The key holds "!" for ":", which sorts before all that a key may hold: so what is
 * below a name follows it at once, and names are found one by one through the key's index, however many keys there are.
 * (unstorage's db0 driver reads all keys with LIKE, keeps to 255 characters in the order of the database's language, and
 * has no transactions.)
 */
export function sqlDriver(database: SqlDatabase): RecordDriver {
  const { dialect, query } = database;
  const put = (column: "value" | "bytes") =>
    `INSERT INTO ${table} (key, ${column}) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET ${column} = excluded.${column}`;
  return {
    name: database.name,
    isPassing: (error) => database.isPassing(error),
    async open() {
      const advice = await database.open();
      await database.ensureTable(
        table,
        `key ${dialect.keyType} PRIMARY KEY, value TEXT, bytes ${dialect.bytesType}`,
      );
      return advice;
    },
    hasItem: async (key) =>
      (await query(`SELECT key FROM ${table} WHERE key = $1`, [stored(key)])).length > 0,
    async getItem(key) {
      const [row] = await query(`SELECT value FROM ${table} WHERE key = $1`, [stored(key)]);
      return row === undefined ? null : valueRow.parse(row).value;
    },
    async getItemRaw(key) {
      const [row] = await query(`SELECT bytes FROM ${table} WHERE key = $1`, [stored(key)]);
      return row === undefined ? null : bytesRow.parse(row).bytes;
    },
    async setItem(key, value) {
      await query(put("value"), [stored(key), value]);
    },
    async setItemRaw(key, value: Uint8Array) {
      await query(put("bytes"), [stored(key), value]);
    },
    async removeItem(key) {
      await query(`DELETE FROM ${table} WHERE key = $1`, [stored(key)]);
    },
    change: (changes) =>
      database.transaction(async (run) => {
        // In one order for all: two transactions that want the same rows then never wait for each other.
        const sorted = [...changes].sort((a, b) => (a.key < b.key ? -1 : 1));
        for (const change of sorted) if (!(await makeOne(run, put("value"), change))) return false;
        return true;
      }),
    async children(prefix, { reverse = false, beyond, limit }) {
      const base = prefix === "" ? "" : `${stored(prefix)}!`;
      const [floor, ceiling] = base === "" ? ["", "\x7f"] : [base, `${base.slice(0, -1)}"`];
      const nameIn = (column: string) => dialect.untilMark(`substr(${column}, ${base.length + 1})`);
      // What comes behind a name and all below it; $1 is the base.
      const behind = (name: string) =>
        reverse ? `CAST($1 AS TEXT) || ${name}` : `CAST($1 AS TEXT) || ${name} || '"'`;
      const next = (bound: string | null) => {
        const inside = `FROM ${table} WHERE key >= $2 AND key < $3`;
        if (reverse) return `SELECT max(key) ${inside}${bound === null ? "" : ` AND key < ${bound}`}`;
        return `SELECT min(key) ${inside}${bound === null ? "" : ` AND key >= ${bound}`}`;
      };
      const first = next(beyond === undefined ? null : behind("CAST($4 AS TEXT)"));
      const rows = await query(
        `WITH RECURSIVE walk(key) AS (SELECT (${first}) UNION ALL ` +
          `SELECT (${next(behind(nameIn("walk.key")))}) FROM walk WHERE walk.key IS NOT NULL) ` +
          `SELECT ${nameIn("key")} AS name FROM walk WHERE key IS NOT NULL` +
          (limit === undefined ? "" : ` LIMIT ${Math.trunc(limit)}`),
        [base, floor, ceiling, ...(beyond === undefined ? [] : [beyond])],
      );
      const names = z
        .array(nameRow)
        .parse(rows)
        .map(({ name }) => name);
      return pageOf(names, { reverse });
    },
    async clearPrefix(prefix) {
      await query(`DELETE FROM ${table} WHERE key >= $1 AND key < $2`, [
        `${stored(prefix)}!`,
        `${stored(prefix)}"`,
      ]);
    },
    async getKeys(prefix) {
      const rows = z.array(keyRow).parse(await query(`SELECT key FROM ${table} ORDER BY key`));
      return rows.map(({ key }) => key.replaceAll("!", ":")).filter((key) => key.startsWith(prefix));
    },
    clear: () => Promise.reject(new Error("not offered: who wants that drops the table")),
    dispose: () => database.close(),
  };
}

/** A key as it stands in the table. */
function stored(key: string): string {
  return key.replaceAll(":", "!");
}

async function makeOne(run: Query, put: string, { key, from, to }: TextChange): Promise<boolean> {
  const at = stored(key);
  if (from === undefined) {
    await (to === null ? run(`DELETE FROM ${table} WHERE key = $1`, [at]) : run(put, [at, to]));
    return true;
  }
  const done = await expecting(run, at, from, to);
  return done.length === 1;
}

function expecting(run: Query, at: string, from: string | null, to: string | null) {
  if (from === null)
    return run(
      `INSERT INTO ${table} (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING RETURNING key`,
      [at, to],
    );
  if (to === null) return run(`DELETE FROM ${table} WHERE key = $1 AND value = $2 RETURNING key`, [at, from]);
  return run(`UPDATE ${table} SET value = $3 WHERE key = $1 AND value = $2 RETURNING key`, [at, from, to]);
}
