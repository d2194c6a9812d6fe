import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ulid } from "ulid";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createRecordStore, memoryDriver, type RecordStore } from "../storage/index.ts";
import { runPaths } from "./paths.ts";
import { recordOf } from "./record.test-support.ts";
import type { RunRecord } from "./record.ts";
import { createRunFolders, type RunFolders } from "./run-folders.ts";

let root: string;
let records: RecordStore;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "run-folders-"));
  records = createRecordStore(memoryDriver());
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** A server with a disk of its own on the same storage. */
function serverCalled(name: string, on: RecordStore = records) {
  const dataDir = join(root, name);
  const folders = createRunFolders({
    dataDir,
    environment: { HOME: root, XDG_DATA_HOME: join(root, "elsewhere") },
    records: on,
    isShared: true,
    log: { warn() {} },
  });
  const fileOf = (id: string) => join(runPaths(dataDir, id).workspace, "a.txt");
  return {
    folders,
    dataDir,
    async write(id: string, content: string) {
      await mkdir(runPaths(dataDir, id).workspace, { recursive: true });
      await writeFile(fileOf(id), content);
    },
    read: (id: string) => readFile(fileOf(id), "utf8").catch(() => null),
  };
}

const atRevision = (revision: number, id = ulid()) => ({ ...recordOf("queued", id), revision });

/** The run with a copy of its folder, as its record names it. */
const kept = async (folders: RunFolders, run: RunRecord): Promise<RunRecord> => {
  const stored = { ...run, folder: await folders.keep(run) };
  await folders.tidy(stored);
  return stored;
};

/** A run whose first step this server has stored, with a file in its folder. */
const begunAt = async (server: ReturnType<typeof serverCalled>, content: string): Promise<RunRecord> => {
  const run = atRevision(1);
  await server.write(run.request_id, content);
  return kept(server.folders, run);
};

test("a server has the files of a run as of its last step, fetches them once, and drops them", async () => {
  const [one, two] = [serverCalled("one"), serverCalled("two")];
  const stored = await begunAt(one, "first");
  const { request_id: id } = stored;
  expect(await two.read(id)).toBeNull();
  await Promise.all([two.folders.here(stored), two.folders.here(stored)]);
  expect(await two.read(id)).toBe("first");
  // What lies there by now is its own: asking for the same step does not fetch again.
  await two.write(id, "second");
  await two.folders.here(stored);
  expect(await two.read(id)).toBe("second");
  await one.folders.here(await kept(two.folders, { ...stored, revision: 2 }));
  expect(await one.read(id)).toBe("second");
  // Of the two steps, the copy of the last one is left.
  const [day = ""] = await records.children("folders");
  expect(await records.children(`folders:${day}:${id}`)).toHaveLength(1);
  await one.folders.drop(id);
  expect(await records.children("folders")).toEqual([]);
});

test("a copy of a login that a crash left in a run's home does not go along", async () => {
  const [one, two] = [serverCalled("one"), serverCalled("two")];
  const run = atRevision(1);
  const home = (server: typeof one, folder: string) =>
    join(runPaths(server.dataDir, run.request_id).home, folder);
  const folders = {
    ".qwen": "settings.json",
    ".local/share/opencode": "auth.json",
    "elsewhere/opencode": "auth.json",
  };
  await one.write(run.request_id, "first");
  for (const [folder, login] of Object.entries(folders)) {
    await mkdir(home(one, folder), { recursive: true });
    for (const name of [login, "session.json"]) await writeFile(join(home(one, folder), name), "x");
  }
  await two.folders.here(await kept(one.folders, run));
  for (const folder of Object.keys(folders))
    expect(await readdir(home(two, folder))).toEqual(["session.json"]);
});

describe("a step whose copy was made and whose record was not", () => {
  test("keeps what lies on the disk of its server", async () => {
    const one = serverCalled("one");
    const stored = await begunAt(one, "first");
    const { request_id: id } = stored;
    await one.write(id, "second");
    await one.folders.keep({ ...stored, revision: 2 });
    // Begun anew: what it remembered is gone.
    await serverCalled("one").folders.here(stored);
    expect(await one.read(id)).toBe("second");
  });

  test("gives way to the steps that another server has made since", async () => {
    const [one, two] = [serverCalled("one"), serverCalled("two")];
    const stored = await begunAt(one, "first");
    const { request_id: id } = stored;
    await one.write(id, "of no use");
    await one.folders.keep({ ...stored, revision: 2 });
    await two.folders.here(stored);
    // The step to running makes no copy.
    await serverCalled("one").folders.here({ ...stored, revision: 2 });
    expect(await one.read(id)).toBe("first");
  });
});

test("nothing takes the place of a folder that somebody works in", async () => {
  const [one, two] = [serverCalled("one"), serverCalled("two")];
  const stored = await begunAt(one, "copied");
  const { request_id: id } = stored;
  await two.write(id, "elsewhere");
  const { release } = await one.folders.hold(stored);
  await one.write(id, "at work");
  await one.folders.here(await kept(two.folders, { ...stored, revision: 2 }));
  expect(await one.read(id)).toBe("at work");
  release();
});

test("a copy that is cut off by a crash leaves the one before whole", async () => {
  let writes = 0;
  const failing: RecordStore = {
    ...records,
    async writeBytes(key, bytes) {
      writes += 1;
      if (writes > 1) throw new Error("the machine is gone");
      await records.writeBytes(key, bytes);
    },
  };
  const run = atRevision(1);
  const { request_id: id } = run;
  const one = serverCalled("one", failing);
  await one.write(id, "first");
  const stored = await kept(one.folders, run);
  await one.write(id, "second");
  await expect(one.folders.keep(run)).rejects.toThrow("gone");
  const two = serverCalled("two");
  await two.folders.here(stored);
  expect(await two.read(id)).toBe("first");
});

test("of two servers that make the same step, the one whose record was stored has its copy kept", async () => {
  const [one, two] = [serverCalled("one"), serverCalled("two")];
  const run = atRevision(1);
  const { request_id: id } = run;
  await one.write(id, "won");
  await two.write(id, "lost");
  const won = { ...run, folder: await one.folders.keep(run) };
  await two.folders.keep(run);
  await one.folders.tidy(won);
  const three = serverCalled("three");
  await three.folders.here(won);
  expect(await three.read(id)).toBe("won");
});

test("a copy that a later step has made meanwhile is not tidied away", async () => {
  const [one, two] = [serverCalled("one"), serverCalled("two")];
  const run = atRevision(1);
  const { request_id: id } = run;
  await one.write(id, "first");
  const first = { ...run, folder: await one.folders.keep(run) };
  await two.folders.here(first);
  await two.write(id, "second");
  const second = { ...run, revision: 2, folder: await two.folders.keep({ ...run, revision: 2 }) };
  await one.folders.tidy(first);
  await one.folders.here(second);
  expect(await one.read(id)).toBe("second");
});

test("a server that was killed before it told the step which it had stored tells it when its log is asked for", async () => {
  const one = serverCalled("one");
  const run = { ...atRevision(1), trigger: "interaction.reply.accepted" };
  const { request_id: id } = run;
  await one.write(id, "mine");
  const stored = await kept(one.folders, run);
  const back = serverCalled("one");
  const { events } = await back.folders.here(stored);
  expect(await readFile(events, "utf8")).toContain('"to":"queued"');
  expect(await back.read(id)).toBe("mine");
});

test("a log that is read elsewhere while the run goes on is the same, line for line", async () => {
  const lines = ["waiting_user", "queued", "running"].map((to, n) =>
    lineOf(n + 1, { to, revision: n + 4, updated_at: "2026-11-27T10:00:00.000Z" }),
  );
  // The copy was made before the step that it belongs to was told, and the run has gone on since.
  const one = serverCalled("one");
  const run = { ...recordOf("running"), revision: 6 };
  const { request_id: id } = run;
  const { events, root: runFolder } = runPaths(one.dataDir, id);
  await mkdir(runFolder, { recursive: true });
  await writeFile(events, `${lines[0]}\n`);
  const folder = await one.folders.keep({ ...run, revision: 5 });
  const live = {
    after: async (_id: string, seq: number) =>
      lines.map((text, n) => ({ seq: n + 1, text })).filter((line) => line.seq > seq),
  };
  const dataDir = join(root, "two");
  const two = createRunFolders({
    dataDir,
    environment: {},
    records,
    isShared: true,
    live,
    log: { warn() {} },
  });
  const { events: there } = await two.here({ ...run, folder });
  expect((await readFile(there, "utf8")).trim().split("\n")).toEqual(lines);
});

test("a log that cannot be completed yet is not completed with what comes later", async () => {
  const one = serverCalled("one");
  const run = { ...recordOf("running"), revision: 6 };
  const { request_id: id } = run;
  const { events, root: runFolder } = runPaths(one.dataDir, id);
  await mkdir(runFolder, { recursive: true });
  const first = lineOf(1, { to: "waiting_user", revision: 4, updated_at: "2026-11-27T10:00:00.000Z" });
  await writeFile(events, `${first}\n`);
  const folder = await one.folders.keep({ ...run, revision: 5 });
  const dataDir = join(root, "two");
  const live = { after: async () => [] };
  const two = createRunFolders({
    dataDir,
    environment: {},
    records,
    isShared: true,
    live,
    log: { warn() {} },
  });
  const { events: there } = await two.here({ ...run, folder });
  expect((await readFile(there, "utf8")).trim()).toBe(first);
});

test("what can be fetched again does not go into the copy", async () => {
  const one = serverCalled("one");
  const run = atRevision(1);
  const { request_id: id } = run;
  const { home } = runPaths(one.dataDir, id);
  for (const name of [".cache/uv/pandas", ".npm/x", ".codex/session"]) {
    await mkdir(join(home, name), { recursive: true });
    await writeFile(join(home, name, "file"), "x");
  }
  const stored = await kept(one.folders, run);
  const two = serverCalled("two");
  await two.folders.here(stored);
  expect(await readdir(runPaths(two.dataDir, id).home)).toEqual([".codex"]);
});

function lineOf(seq: number, data: object): string {
  return JSON.stringify({
    protocol_version: "fcmp/1.0",
    run_id: "x",
    seq,
    ts: "2026-11-27T10:00:00.000Z",
    engine: "codex",
    type: "conversation.state.changed",
    data,
    meta: { attempt: 1, turn: 1, local_seq: seq },
    correlation: {},
    raw_ref: null,
  });
}
