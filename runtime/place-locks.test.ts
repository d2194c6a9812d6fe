import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { createRecordStore, fsDriver } from "../lib/storage/index.ts";
import { lockPlaces } from "./place-locks.ts";

const lockDataDir = (dataDir: string, warn: (message: string) => void) => lockPlaces(dataDir, [], warn);

// sysfs lets nobody make a socket; only root is told so (EPERM) and not merely kept out.
test.skipIf(process.platform !== "linux" || process.getuid?.() !== 0)(
  "a data folder that knows no sockets is held all the same, with a warning",
  async () => {
    const warnings: string[] = [];
    const warn = (message: string) => void warnings.push(message);
    const unlock = await lockDataDir("/sys", warn);
    expect(warnings).toEqual([expect.stringContaining("knows no sockets")]);
    await expect(lockDataDir("/sys", warn)).rejects.toThrow("Another server is at work in /sys");
    await unlock();
    await (await lockDataDir("/sys", warn))();
  },
);

test("a storage in a folder or file of its own is held by one server, whatever their data directories are", async () => {
  const root = await mkdtemp(join(tmpdir(), "locks-"));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  const warn = () => undefined;
  const [one, two, folder] = ["one", "two", "records"].map((name) => join(root, name));
  if (one === undefined || two === undefined || folder === undefined) throw new Error("no folders");
  for (const storage of [
    { kind: "fs", folder },
    { kind: "sqlite", path: join(folder, "file") },
  ] as const) {
    const unlock = await lockPlaces(one, [storage], warn);
    await expect(lockPlaces(two, [storage], warn)).rejects.toThrow(
      /Another server is at work in .*records.*\. Stop it, or set SKILL_RUNNER_STORAGE to another one/,
    );
    expect(await createRecordStore(fsDriver({ base: folder })).children("")).toEqual([]);
    await unlock();
    // The one that was refused has let go of its own data directory, too.
    await (await lockPlaces(two, [storage], warn))();
  }
});
