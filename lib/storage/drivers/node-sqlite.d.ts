// https://nodejs.org/api/sqlite.html, so far as it is used; the types of Node 20 do not have it.
declare module "node:sqlite" {
  type Value = string | number | bigint | null | Uint8Array;
  export class StatementSync {
    all(...parameters: Value[]): unknown[];
  }
  export class DatabaseSync {
    constructor(path: string);
    exec(statements: string): void;
    prepare(statement: string): StatementSync;
    close(): void;
  }
}
