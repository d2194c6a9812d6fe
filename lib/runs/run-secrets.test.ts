import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ulid } from "ulid";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createRecordStore, memoryDriver, type RecordStore } from "../storage/index.ts";
import { createRunSecrets, createSharedRunSecrets } from "./run-secrets.ts";

let dataDir: string;
let records: RecordStore;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "run-secrets-"));
  records = createRecordStore(memoryDriver());
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

const env = { TOKEN: "secret" };

describe.each([
  ["alone", "one of several", createRunSecrets, createSharedRunSecrets],
  ["one of several", "alone", createSharedRunSecrets, createRunSecrets],
])("a server that was %s and is %s now", (_was, _is, earlier, later) => {
  test("has the variables of jobs that go on, in its own place", async () => {
    const [going, ended] = [ulid(), ulid()];
    for (const id of [going, ended]) await earlier(dataDir, records).keep(id, env);
    const secrets = later(dataDir, records);
    expect(await secrets.read(going)).toEqual({});
    await secrets.adopt([going]);
    expect(await secrets.read(going)).toEqual(env);
    expect(await earlier(dataDir, records).read(going)).toEqual({});
    expect(await secrets.read(ended)).toEqual({});
  });
});

test("alone, a server forgets what belongs to no job that goes on", async () => {
  const secrets = createRunSecrets(dataDir, records);
  const [going, ended] = [ulid(), ulid()];
  for (const id of [going, ended]) await secrets.keep(id, env);
  await secrets.forgetAllBut([going]);
  expect(await readdir(join(dataDir, "run_secrets"))).toEqual([`${going}.env.json`]);
});

test("of several, it leaves what another one may be making a job for", async () => {
  const secrets = createSharedRunSecrets(dataDir, records);
  const [going, ended] = [ulid(Date.now() - 3_600_000), ulid(Date.now() - 3_600_000)];
  const arriving = ulid();
  for (const id of [going, ended, arriving]) await secrets.keep(id, env);
  await secrets.forgetAllBut([]);
  for (const id of [going, ended, arriving]) expect(await secrets.read(id)).toEqual(env);
  // Looked at once more, with the job that the first list was too old for.
  await secrets.forgetAllBut([going]);
  expect(await secrets.read(ended)).toEqual({});
  for (const id of [going, arriving]) expect(await secrets.read(id)).toEqual(env);
});
