import { execFileSync } from "node:child_process";
import { chown, stat } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openStorage, parseStorageUrl } from "../../lib/storage/index.ts";
import { postgresServer, type StorageServer } from "./servers.ts";

let server: StorageServer;
beforeAll(async () => {
  server = await postgresServer();
}, 60_000);
afterAll(() => server.remove());

/** @returns the first value of each statement's first row */
async function sql(...statements: string[]): Promise<string[]> {
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  const values: string[] = [];
  for (const statement of statements) {
    const { rows } = await client.query({ text: statement, rowMode: "array" });
    values.push(String(rows?.[0]?.[0]));
  }
  await client.end();
  return values;
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
  await sql(
    "DROP TABLE IF EXISTS skill_runner_records",
    "CREATE ROLE guest LOGIN",
    // As it is from PostgreSQL 15 on.
    "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
  );
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

test("sslmode is what libpq says: require takes any certificate, verify-ca and verify-full do not", async () => {
  const [data = ""] = await sql("SHOW data_directory");
  const [cert, key] = [join(data, "server.crt"), join(data, "server.key")];
  const made = ["-newkey", "rsa:2048", "-nodes", "-subj", "/CN=another.host", "-keyout", key, "-out", cert];
  execFileSync("openssl", ["req", "-x509", ...made], { stdio: "ignore" });
  const { uid, gid } = await stat(data);
  for (const path of [cert, key]) await chown(path, uid, gid);
  await sql("ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()");
  await expect.poll(() => sql("SHOW ssl"), { timeout: 10_000 }).toEqual(["on"]);

  const root = `&sslrootcert=${cert}`;
  const outcomes: Record<string, string> = {};
  for (const mode of [
    ...["disable", "prefer", "require", "no-verify", "verify-full", "verify-ca"],
    ...[`require${root}`, `verify-ca${root}`, `verify-full${root}`, "require&uselibpqcompat=false"],
  ])
    outcomes[mode.replace(root, " with root")] = await open(`${server.url}?sslmode=${mode}`).then(
      async (records) => {
        await records.close();
        return "opens";
      },
      (error: Error) => error.message,
    );
  const refused = expect.stringMatching(/^The storage \(postgres\) cannot be used: .*(self-signed|altname)/);
  expect(outcomes).toEqual({
    disable: "opens",
    prefer: "opens",
    require: "opens",
    "no-verify": "opens",
    "verify-full": refused,
    "verify-ca": expect.stringContaining("requires specifying a CA with sslrootcert"),
    "require with root": "opens",
    "verify-ca with root": "opens",
    "verify-full with root": refused,
    "require&uselibpqcompat=false": refused,
  });
});
