import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import type { RecordDriver } from "../record-driver.ts";
import { type Query, sqlDriver } from "./sql.ts";

const busyTimeoutMs = 10_000;
const busyPauseMs = 10;
/** Another connection writes (https://sqlite.org/rescode.html#busy). */
const sqliteBusy = 5;
/** Busy, locked, read-only, I/O error, full, cannot open. */
const passing = new Set([sqliteBusy, 6, 8, 10, 13, 14]);

const parameter = z.union([z.string(), z.number(), z.bigint(), z.null(), z.instanceof(Uint8Array)]);

/**
 * Records in one SQLite file, with Node's own SQLite (Node 22.13 and newer). It works on the server's thread: a write waits
 * for the disk there. Several processes on one machine may use the file.
 * @param path absolute; the file and its folder are made when missing
 */
export function sqliteDriver({ path }: { path: string }): RecordDriver {
  let database: DatabaseSync | undefined;
  const statements = new Map<string, StatementSync>();
  let turn: Promise<unknown> = Promise.resolve();
  const run: Query = async (statement, parameters = []) => {
    if (database === undefined) throw new Error("open() comes first");
    let prepared = statements.get(statement);
    if (prepared === undefined) {
      prepared = database.prepare(statement.replaceAll("$", "?"));
      statements.set(statement, prepared);
    }
    return prepared.all(...z.array(parameter).parse(parameters));
  };
  // SQLite's own wait would hold up the whole server, and with it a transaction of its own that is to end first.
  const patiently: Query = async (statement, parameters) => {
    const deadline = Date.now() + busyTimeoutMs;
    for (;;) {
      try {
        return await run(statement, parameters);
      } catch (error) {
        if (!isBusy(error) || Date.now() > deadline) throw error;
        await sleep(busyPauseMs * (1 + Math.random()));
      }
    }
  };
  // One connection: what is asked while a transaction is at work waits for it.
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const done = turn.then(work);
    turn = done.catch(() => undefined);
    return done;
  };
  const query: Query = (statement, parameters) => inTurn(() => patiently(statement, parameters));
  return sqlDriver({
    name: "sqlite",
    dialect: {
      keyType: "TEXT",
      bytesType: "BLOB",
      untilMark: (text) => `substr(${text}, 1, instr(${text} || '!', '!') - 1)`,
    },
    query,
    transaction: (work) =>
      inTurn(async () => {
        await patiently("BEGIN IMMEDIATE");
        try {
          const commits = await work(run);
          await run(commits ? "COMMIT" : "ROLLBACK");
          return commits;
        } catch (error) {
          await run("ROLLBACK").catch(() => undefined);
          throw error;
        }
      }),
    isPassing: (error) => passing.has(errcodeOf(error) & 0xff),
    async open() {
      await mkdir(dirname(path), { recursive: true });
      const { DatabaseSync } = await import("node:sqlite").catch((error: unknown) => {
        throw new Error("SQLite needs Node 22.13 or newer: take that, or another storage", { cause: error });
      });
      database = new DatabaseSync(path);
      database.exec("PRAGMA busy_timeout = 0");
      await patiently("PRAGMA journal_mode = WAL");
      // Durable at each commit, also when the power goes (https://sqlite.org/pragma.html#pragma_synchronous).
      database.exec("PRAGMA synchronous = FULL");
      return [];
    },
    async ensureTable(name, columns) {
      await query(`CREATE TABLE IF NOT EXISTS ${name} (${columns})`);
    },
    async close() {
      await turn;
      database?.close();
      database = undefined;
    },
  });
}

function isBusy(error: unknown): boolean {
  return errcodeOf(error) === sqliteBusy;
}

/** SQLite's own code of an error; 0 for any other. Its lower eight bits are the kind. */
function errcodeOf(error: unknown): number {
  return error instanceof Error && "errcode" in error && typeof error.errcode === "number"
    ? error.errcode
    : 0;
}
