import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openStorage, parseStorageUrl } from "../../lib/storage/index.ts";
import { postgresServer, type StorageServer } from "./servers.ts";

let server: StorageServer;
beforeAll(async () => {
  server = await postgresServer();
}, 60_000);
afterAll(() => server.remove());

async function sql(...statements: string[]): Promise<void> {
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  for (const statement of statements) await client.query(statement);
  await client.end();
}
const open = async (url: string) => (await openStorage(parseStorageUrl(url), "/nowhere")).records;

test("servers that start at once on an empty database all find the table", async () => {
  for (let round = 0; round < 8; round++) {
    await sql("DROP TABLE IF EXISTS skill_runner_records");
    const opened = await Promise.allSettled(Array.from({ length: 12 }, () => open(server.url)));
    for (const result of opened) if (result.status === "fulfilled") await result.value.close();
    expect(opened.filter(({ status }) => status === "rejected")).toEqual([]);
  }
});

test("a role that may make no tables uses the one that it was given, and is refused where there is none", async () => {
  await sql("DROP TABLE IF EXISTS skill_runner_records", "CREATE ROLE guest LOGIN");
  const url = server.url.replace("runner@", "guest@");
  await expect(open(url)).rejects.toThrow(/permission denied for schema public/);
  await sql(
    'CREATE TABLE skill_runner_records (key TEXT COLLATE "C" PRIMARY KEY, value TEXT, bytes BYTEA)',
    "GRANT SELECT, INSERT, UPDATE, DELETE ON skill_runner_records TO guest",
  );
  const records = await open(url);
  await records.write("a:b", { n: 1 });
  expect(await records.read("a:b")).toEqual({ n: 1 });
  await records.close();
});
