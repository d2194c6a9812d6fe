import pg from "pg";
import type { RecordDriver } from "../record-driver.ts";
import { type Query, sqlDriver } from "./sql.ts";

const connectTimeoutMs = 10_000;
const statementTimeoutMs = 15_000;
const connections = 8;

/**
 * Records in PostgreSQL 12 or newer.
 * @param url as libpq takes it (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS), but for
 *   sslmode=allow and prefer, which do not fall back to a connection without TLS; pg's sslmode=no-verify is known, too
 */
export function postgresDriver({ url }: { url: string }): RecordDriver {
  const pool = new pg.Pool({
    connectionString: withModesOfLibpq(url),
    max: connections,
    connectionTimeoutMillis: connectTimeoutMs,
    query_timeout: statementTimeoutMs,
    keepAlive: true,
    application_name: "skill-runner",
  });
  // A connection that breaks while idle is replaced; without a listener it would end the process.
  pool.on("error", () => undefined);
  // The pool listens to a connection only while nobody has it, and in a transaction it may break between two statements. The
  // next statement fails then, and the pool takes no broken connection back.
  pool.on("connect", (client) => client.on("error", () => undefined));
  const on =
    (queryable: Pick<pg.ClientBase, "query">): Query =>
    async (statement, parameters = []) =>
      (await queryable.query(statement, [...parameters])).rows;
  const hasTable = async (name: string): Promise<boolean> =>
    (await pool.query("SELECT 1 WHERE to_regclass($1) IS NOT NULL", [name])).rowCount === 1;
  return sqlDriver({
    name: "postgresql",
    dialect: {
      keyType: 'TEXT COLLATE "C"',
      bytesType: "BYTEA",
      untilMark: (text) => `split_part(${text}, '!', 1)`,
    },
    query: async (statement, parameters = []) => (await pool.query(statement, [...parameters])).rows,
    async transaction(work) {
      const client = await pool.connect();
      let broken: Error | undefined;
      try {
        await client.query("BEGIN");
        const commits = await work(on(client));
        await client.query(commits ? "COMMIT" : "ROLLBACK");
        return commits;
      } catch (error) {
        broken = error instanceof Error ? error : new Error(String(error));
        throw error;
      } finally {
        // One that failed in the middle may hold a transaction still: it is not used again.
        client.release(broken);
      }
    },
    isPassing,
    async open() {
      const { rows } = await pool.query("SHOW synchronous_commit");
      const [setting] = rows.flatMap((row: Record<string, unknown>) => Object.values(row));
      return setting === "off"
        ? [
            "PostgreSQL commits without waiting for its disk (synchronous_commit = off): a power cut loses the last records",
          ]
        : [];
    },
    // Looked for first: CREATE, also with IF NOT EXISTS, is refused to a role that may only use what a DBA has made.
    async ensureTable(name, columns) {
      if (await hasTable(name)) return;
      try {
        await pool.query(`CREATE TABLE ${name} (${columns})`);
      } catch (error) {
        // Of several that make it at once one does, and the others are told so in three ways (42P07, 42710, 23505).
        if (!(await hasTable(name))) throw error;
      }
    },
    close: () => pool.end(),
  });
}

/** Unless it is told to follow libpq, pg 8 checks the certificate with sslmode=require and prefer, too. */
function withModesOfLibpq(url: string): string {
  const { searchParams } = new URL(url);
  const mode = searchParams.get("sslmode");
  const isSettled = mode === null || mode === "no-verify" || searchParams.has("uselibpqcompat");
  return isSettled ? url : `${url}&uselibpqcompat=true`;
}

/**
 * What the server did not answer, and its classes 08, 53, 57P, and 25006: connection, resources, shutting down, read-only
 * (https://www.postgresql.org/docs/current/errcodes-appendix.html).
 */
function isPassing(error: unknown): boolean {
  return !(error instanceof pg.DatabaseError) || /^(08|53|57P|25006)/.test(error.code ?? "");
}
