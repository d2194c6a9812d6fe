import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ulid } from "ulid";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runPaths } from "../../lib/runs/paths.ts";
import { recordOf } from "../../lib/runs/record.test-support.ts";
import { createRunStore } from "../../lib/runs/run-store.ts";
import { openStorage, parseStorageUrl, type StoragePlace } from "../../lib/storage/index.ts";
import { copyStorage } from "../../runtime/storage-copy.ts";
import { redisServer, type StorageServer } from "./servers.ts";

let redis: StorageServer;
let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "storage-copy-"));
  redis = await redisServer();
});
afterAll(async () => {
  await redis.remove();
  await rm(root, { recursive: true, force: true });
});

const files: StoragePlace = { kind: "fs", folder: null };
const recordsIn = async (place: StoragePlace, dataDir: string) => (await openStorage(place, dataDir)).records;

test("a job that cannot be read, or whose files are broken, holds up no other: it is told of, and the rest arrives", async () => {
  const shared = parseStorageUrl(redis.url);
  const [home, away] = [join(root, "home"), join(root, "away")];
  const warnings: object[] = [];
  const log = { warn: (fields: object) => void warnings.push(fields) };
  const copied = (from: StoragePlace, to: StoragePlace, dataDir: string, overwrite = false) =>
    copyStorage({ from, to, dataDir, environment: {}, overwrite, log });

  const before = await recordsIn(files, home);
  const runs = createRunStore(before);
  const [whole, torn] = [recordOf("succeeded"), recordOf("succeeded")];
  for (const run of [whole, torn]) {
    await runs.create(run);
    await mkdir(runPaths(home, run.request_id).root, { recursive: true });
    await writeFile(runPaths(home, run.request_id).result, run.request_id);
  }
  const foreign = ulid();
  await before.write(`active:${foreign}`, { n: 1 });
  expect(await copied(files, shared, home)).toEqual({ records: 3, folders: 2, leftOut: 1 });
  expect(warnings.splice(0)).toEqual([{ id: foreign }]);

  const there = await recordsIn(shared, home);
  const copy = (await createRunStore(there).get(torn.request_id)).folder;
  const day = torn.created_at.slice(0, 10);
  await there.remove(`folders:${day}:${torn.request_id}:${copy?.id}:000000`);
  await there.close();
  expect(await copied(shared, files, away)).toEqual({ records: 3, folders: 1, leftOut: 2 });
  expect(warnings).toEqual([
    { id: torn.request_id, reason: expect.stringContaining("lacks its piece 0") },
    { id: foreign },
  ]);
  const { result } = runPaths(away, whole.request_id);
  expect(await readFile(result, "utf8")).toBe(whole.request_id);

  // What is done to its files here is not what the copy in the storage has: that one comes anew when it is asked for again.
  await writeFile(result, "changed since");
  await copied(shared, files, away, true);
  expect(await readFile(result, "utf8")).toBe(whole.request_id);
});
