import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ulid } from "ulid";
import { expect, onTestFinished, test } from "vitest";
import { createRecordStore, memoryDriver } from "../storage/index.ts";
import type { RunContext } from "./context.ts";
import { runPaths } from "./paths.ts";
import { recordOf } from "./record.test-support.ts";
import { dropExpired } from "./retention.ts";
import { markFile } from "./run-folders.ts";
import type { Scheduler } from "./scheduler.ts";
import { createSharedRunStore } from "./shared-run-store.ts";

test("files of a job that another server deleted go an hour after it was made; what lies here alone stays", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "retention-"));
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }));
  const silent = { tell() {}, listen: () => () => undefined, close: async () => undefined };
  const store = createSharedRunStore(createRecordStore(memoryDriver()), silent);
  const [deleted, here, living] = [ulid(), ulid(), ulid()];
  for (const [id, file] of [
    [deleted, markFile],
    [living, markFile],
    [here, "events.jsonl"],
  ] as const) {
    const path = join(runPaths(dataDir, id).root, file);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, "{}");
  }
  await store.create(recordOf("waiting_user", living));
  // What it needs, and no more.
  const context = {
    dataDir,
    store,
    settings: { retentionDays: 0 },
    log: { warn() {} },
  } as unknown as RunContext;
  const left = () => [deleted, here, living].filter((id) => existsSync(runPaths(dataDir, id).root));
  await dropExpired(context, {} as Scheduler, new Date(Date.now() + 600_000));
  expect(left()).toEqual([deleted, here, living]);
  await dropExpired(context, {} as Scheduler, new Date(Date.now() + 2 * 3_600_000));
  expect(left()).toEqual([here, living]);
});
