import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { recordOf } from "../lib/runs/record.test-support.ts";
import { createRunStore } from "../lib/runs/run-store.ts";
import { openStorage, type RecordStore, type StoragePlace } from "../lib/storage/index.ts";
import { copyStorage } from "./storage-copy.ts";

let root: string;
let from: StoragePlace & { kind: "fs" };
let to: StoragePlace & { kind: "fs" };
let warnings: object[];
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "storage-copy-"));
  from = { kind: "fs", folder: join(root, "from") };
  to = { kind: "fs", folder: join(root, "to") };
  warnings = [];
});
afterEach(() => rm(root, { recursive: true, force: true }));

const recordsOf = async (place: StoragePlace): Promise<RecordStore> =>
  (await openStorage(place, root)).records;
const copy = (options: { overwrite?: boolean; from?: StoragePlace; to?: StoragePlace } = {}) =>
  copyStorage({
    ...{ from, to, dataDir: join(root, "data"), environment: {}, overwrite: false, ...options },
    log: { warn: (fields) => void warnings.push(fields) },
  });

test("what a server kept in the second storage is gone after --overwrite: no job lives on, or again", async () => {
  const job = recordOf("queued");
  const deleted = recordOf("queued");
  const [source, target] = [createRunStore(await recordsOf(from)), createRunStore(await recordsOf(to))];
  for (const run of [job, deleted]) await source.create(run);
  await copy();
  expect((await target.unfinished()).sort()).toEqual([job.request_id, deleted.request_id].sort());
  const ended = { ...job, status: "succeeded" as const };
  await source.write(ended);
  await source.show(ended);
  await source.remove(deleted);
  await writeFile(join(root, "to", "notes.txt"), "somebody's own");
  await expect(copy()).rejects.toThrow("There are records in the second storage");
  expect(await copy({ overwrite: true })).toEqual({ records: 1, folders: 0, leftOut: 0 });

  const anew = createRunStore(await recordsOf(to));
  expect(await anew.unfinished()).toEqual([]);
  expect((await anew.get(job.request_id)).status).toBe("succeeded");
  await expect(anew.get(deleted.request_id)).rejects.toMatchObject({ code: "JOB_NOT_FOUND" });
  expect(await readFile(join(root, "to", "notes.txt"), "utf8")).toBe("somebody's own");
});

test("a job that a crash left among the unfinished ones, too, arrives as it ended and nowhere else", async () => {
  const ended = recordOf("failed");
  const source = createRunStore(await recordsOf(from));
  await source.create({ ...ended, status: "queued" });
  await source.create(ended);
  expect(await source.unfinished()).toEqual([ended.request_id]);
  expect((await copy()).records).toBe(1);
  const target = createRunStore(await recordsOf(to));
  expect(await target.unfinished()).toEqual([]);
  expect((await target.get(ended.request_id)).status).toBe("failed");
});

test("a copy that was cut off is told by the key, taken for whole by nobody, and done again with --overwrite", async () => {
  const records = await recordsOf(from);
  await records.write("active:a", { n: 1 });
  await records.write("upgrades:a", { n: 1 });
  // readlink(2) gives ELOOP: there is a record, and the disk does not give it.
  await symlink("b", join(root, "from", "models"));
  await symlink("models", join(root, "from", "b"));
  await expect(copy()).rejects.toThrow(/^models was not copied\. .*ELOOP/);
  const half = /cannot be used: it holds a part of what was to be copied into it.* with --overwrite/;
  await expect(recordsOf(to)).rejects.toThrow(half);
  await expect(copy({ from: to, to: from, overwrite: true })).rejects.toThrow(half);
  await rm(join(root, "from", "models"));
  await expect(copy()).rejects.toThrow("There are records in the second storage");
  expect(await copy({ overwrite: true })).toMatchObject({ records: 2 });
  expect(await (await recordsOf(to)).read("upgrades:a")).toEqual({ n: 1 });
});

test("a record that is torn stays behind with a warning, and what is no server's without one", async () => {
  await (await recordsOf(from)).write("active:a", { n: 1 });
  await writeFile(join(root, "from", "active", "torn"), '{"n":');
  await mkdir(join(root, "from", "runs", "2026-11-24"), { recursive: true });
  await mkdir(join(root, "from", "photos"));
  await writeFile(join(root, "from", "photos", "a"), "{}");
  expect(await copy()).toEqual({ records: 1, folders: 0, leftOut: 1 });
  expect(warnings).toEqual([{ key: "active:torn" }]);
  expect(await (await recordsOf(to)).children("")).toEqual(["active"]);
});

test("a storage is not copied into itself, however it is spelled", async () => {
  await (await recordsOf(from)).write("active:a", { n: 1 });
  const same: StoragePlace = { kind: "fs", folder: join(root, "from", "..", "from") };
  await expect(copy({ to: same, overwrite: true })).rejects.toThrow("Both are the same storage.");
  expect(await (await recordsOf(from)).children("")).toEqual(["active"]);
});
