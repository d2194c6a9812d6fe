import { existsSync, readdirSync } from "node:fs";
import { mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ulid } from "ulid";
import { describe, expect, test } from "vitest";
import {
  packageFiles,
  skillText,
  temporaryFolder,
  writeFiles,
} from "../../lib/skills/fixtures.test-support.ts";
import type { SkillInstalls, SkillInstallsOptions } from "../../lib/skills/install/index.ts";
import { newRecord } from "../../lib/skills/install/record.ts";
import { createInstallRecords } from "../../lib/skills/install/records.ts";
import { createRecordStore, fsDriver, memoryDriver, syncFiles } from "../../lib/storage/index.ts";
import { packageZip } from "../package-zip.ts";
import { openInstalls, settled } from "./installs.ts";

const id = "demo";
const version = (number: string, changes = {}) => packageFiles(id, changes, { version: number });

async function open(changes: Partial<SkillInstallsOptions> = {}) {
  const folder = await temporaryFolder();
  const opened = openInstalls(folder, changes);
  let received = 0;
  const send = async (zip: Buffer) => {
    received += 1;
    const path = join(folder, `received-${received}`);
    await writeFile(path, zip);
    return (await opened.installs.install(path)).request_id;
  };
  const install = async (files: Readonly<Record<string, unknown>>, name = id) =>
    settled(opened.installs, await send(packageZip(name, files)));
  const inRoot = (path: string) => join(opened.root, path);
  const list = (path: string) => (existsSync(inRoot(path)) ? readdirSync(inRoot(path)).sort() : []);
  const installed = async () => (await opened.registry.get(id)).manifest.version;
  return { ...opened, folder, send, install, inRoot, list, installed };
}

describe("a version of a skill", () => {
  test("is replaced by a greater one, and goes to the archive", async () => {
    const { install, installed, list } = await open();
    expect(await install(version("1.9"))).toMatchObject({
      status: "succeeded",
      skill_id: id,
      version: "1.9",
      action: "install",
      error: null,
    });
    expect(await install(version("1.10"))).toMatchObject({
      status: "succeeded",
      version: "1.10",
      action: "update",
    });
    expect(await installed()).toBe("1.10");
    expect(list(".archive/demo")).toEqual(["1.9"]);
    expect(list("")).toEqual([".archive", ".staging", "demo"]);
    expect(list(".staging")).toEqual([]);
  });

  test.each([
    ["1.0", "1.0.0"],
    ["1.0", "0.9.9"],
    ["1.10", "1.9"],
  ])("%s is not replaced by %s", async (old, next) => {
    const { install, installed, list } = await open();
    await install(version(old));
    expect(await install(version(next))).toMatchObject({
      status: "failed",
      skill_id: id,
      version: next,
      action: null,
      error: {
        code: "SKILL_VERSION_NOT_GREATER",
        message: expect.stringContaining(`Version ${old} of "demo"`),
      },
    });
    expect(await installed()).toBe(old);
    expect(list(".archive")).toEqual([]);
  });

  test("that cannot be compared counts as the lowest, and its name leads nowhere", async () => {
    const { install, installed, root, list } = await open();
    await writeFiles(join(root, id), version("../../1.0-beta"));
    expect(await install(version("0.1"))).toMatchObject({ status: "succeeded", action: "update" });
    expect(await installed()).toBe("0.1");
    expect(list(".archive/demo")).toEqual(["_._.._1.0-beta"]);
  });

  test("that is in the archive already is not overwritten there", async () => {
    const { install, installed, root, inRoot } = await open();
    await install(version("1"));
    await writeFiles(join(root, ".archive/demo/1"), { "SKILL.md": "precious" });
    expect(await install(version("2"))).toMatchObject({
      status: "failed",
      error: { code: "SKILL_INSTALL_CONFLICT" },
    });
    expect(await installed()).toBe("1");
    expect(await readFile(inRoot(".archive/demo/1/SKILL.md"), "utf8")).toBe("precious");
  });

  test("is replaced in the order of the requests", async () => {
    const { send, installs, list } = await open();
    const ids: string[] = [];
    for (const number of ["1", "3", "2", "4"]) ids.push(await send(packageZip(id, version(number))));
    const ends = await Promise.all(ids.map((each) => settled(installs, each)));
    expect(ends.map(({ status }) => status)).toEqual(["succeeded", "succeeded", "failed", "succeeded"]);
    expect(list(".archive/demo")).toEqual(["1", "3"]);
  });
});

describe("what is in the place of a skill", () => {
  test.each<[string, Record<string, unknown>]>([
    ["a broken skill of a greater version", version("9", { "assets/output.schema.json": undefined })],
    ["a folder without a skill", { "notes.txt": "mine" }],
  ])("%s is kept aside", async (_name, files) => {
    const { install, installed, root, list, inRoot } = await open();
    for (const number of ["1", "2"]) {
      await rm(join(root, id), { recursive: true, force: true });
      await writeFiles(join(root, id), files);
      expect(await install(version(number))).toMatchObject({ status: "succeeded", action: "install" });
      expect(await installed()).toBe(number);
    }
    // Made within the same second or not, both are there.
    expect(list(".invalid")).toHaveLength(2);
    for (const name of list(".invalid")) {
      expect(name).toMatch(/^demo-\d{8}T\d{6}Z(-1)?$/);
      const kept = await readdir(inRoot(`.invalid/${name}`), { recursive: true, withFileTypes: true });
      expect(kept.filter((entry) => entry.isFile())).toHaveLength(Object.keys(files).length);
    }
  });

  test("a link is not touched", async () => {
    const { install, folder, root } = await open();
    await writeFiles(join(folder, "elsewhere"), version("1"));
    await mkdir(root, { recursive: true });
    await symlink(join(folder, "elsewhere"), join(root, id));
    expect(await install(version("2"))).toMatchObject({
      status: "failed",
      error: { code: "SKILL_INSTALL_CONFLICT", message: expect.stringContaining("is a link or a file") },
    });
    expect(await readFile(join(folder, "elsewhere/assets/runner.json"), "utf8")).toContain('"version":"1"');
  });
});

describe("a package", () => {
  const plain = (metadata: string) => ({ "SKILL.md": skillText(id, metadata) });

  test("may be a plain skill that says its version", async () => {
    const { install, registry } = await open();
    expect(await install(plain("metadata:\n  version: 1.2\n"))).toMatchObject({
      status: "succeeded",
      version: "1.2",
    });
    expect(await registry.get(id)).toMatchObject({ kind: "plain", manifest: { version: "1.2" } });
  });

  test.each<[string, Record<string, unknown>, string]>([
    ["a plain skill without a version", plain(""), "SKILL.md#/metadata/version"],
    ["no version", packageFiles(id, {}, { version: undefined }), "assets/runner.json#/version"],
    ["a version that is no dotted number", version("1.0-beta"), "assets/runner.json#/version"],
    ["another id", packageFiles(id, {}, { id: "other" }), "assets/runner.json#/id"],
    ["another name", version("1", { "SKILL.md": skillText("other") }), "SKILL.md#/name"],
    ["no SKILL.md", version("1", { "SKILL.md": undefined }), "SKILL.md"],
    ["no skill", { "README.md": "hello" }, "SKILL.md"],
  ])("with %s is refused, and nothing stays behind", async (_name, files, pointer) => {
    const { install, list, folder } = await open();
    const end = await install(files);
    expect(end).toMatchObject({ status: "failed", skill_id: id, version: null, action: null });
    expect(end.error).toMatchObject({ code: "SKILL_INVALID", issues: [{ pointer }] });
    expect([...list(".staging"), ...readdirSync(join(folder, "requests"))]).toEqual([]);
    expect(list("")).toEqual([".staging"]);
  });

  test("for a skills folder that cannot be written to: the operator is told, and no path", async () => {
    const { installs, send, folder, errors } = await open();
    await writeFile(join(folder, "skills"), "a file");
    const end = await settled(installs, await send(packageZip(id, version("1"))));
    expect(end).toMatchObject({
      status: "failed",
      error: {
        code: "STORAGE_FAILED",
        message: expect.stringContaining("The skills folder cannot be written to ("),
      },
    });
    expect(end.error?.message).not.toContain(folder);
    expect(errors[0]).toMatchObject({ code: "STORAGE_FAILED", cause: { code: "ENOTDIR" } });
  });
});

describe("a disk that fails", () => {
  /** Fails as soon as names have changed in the skills folder itself. */
  const failingAt = (part: string) => async (paths: readonly string[]) => {
    if (paths.some((path) => path.endsWith(part)))
      throw Object.assign(new Error("no"), { code: "EIO", syscall: "fsync" });
    await syncFiles(paths);
  };

  test("in the middle of an update leaves what was there", async () => {
    const { install, installed, list, root } = await open({ sync: failingAt("skills/demo") });
    await writeFiles(join(root, id), version("1"));
    expect(await install(version("2"))).toMatchObject({
      status: "failed",
      error: { code: "STORAGE_FAILED" },
    });
    expect(await installed()).toBe("1");
    expect([...list(".archive/demo"), ...list(".staging")]).toEqual([]);
  });

  test("at the start after a crash between two versions is tried again at the next start", async () => {
    const { folder, root } = await open();
    const requestId = ulid();
    await writeFiles(join(root, ".archive/demo/1"), version("1"));
    await writeFiles(join(root, ".staging", requestId, id), version("2"));
    const running = {
      ...newRecord(requestId),
      status: "running",
      skill_id: id,
      version: "2",
      action: "update",
    };
    await createRecordStore(fsDriver({ base: join(folder, "state") })).write(`skill_installs:${requestId}`, {
      ...running,
      journal: { set_aside: ".archive/demo/1" },
    });
    const first = openInstalls(folder, { sync: failingAt("skills/demo") });
    await first.installs.recover();
    expect(await first.installs.get(requestId)).toMatchObject({
      status: "failed",
      error: { code: "STORAGE_FAILED", message: expect.stringContaining("next start") },
    });
    const second = openInstalls(folder);
    await second.installs.recover();
    expect(await second.installs.get(requestId)).toMatchObject({ status: "succeeded", error: null });
    expect((await second.registry.get(id)).manifest.version).toBe("2");
    expect(readdirSync(join(root, ".staging"))).toEqual([]);
  });

  test("when the end is to be written down: the end is told all the same", async () => {
    const folder = await temporaryFolder();
    const store = createRecordStore(fsDriver({ base: join(folder, "state") }));
    const failOn = new Set(["succeeded"]);
    const records = {
      ...store,
      async write(key: string, value: object) {
        if ("status" in value && failOn.has(String(value.status))) throw new Error("disk full");
        await store.write(key, value);
      },
    };
    const { install, installs, send } = await open({ records });
    const { request_id: first } = await install(version("1"));
    expect(await installs.get(first)).toMatchObject({ status: "succeeded" });
    expect(await store.read(`skill_installs:${first}`)).toMatchObject({ status: "running" });
    failOn.clear();
    await settled(installs, await send(packageZip(id, version("2"))));
    expect(await store.read(`skill_installs:${first}`)).toMatchObject({ status: "succeeded" });
  });
});

describe("the line", () => {
  const stuck = () => {
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    return { extract: () => released.then(() => Promise.reject(new Error("released"))), release };
  };
  const refusal = (installs: SkillInstalls) => {
    try {
      installs.assertAccepting();
    } catch (error) {
      return error;
    }
  };

  test("has an end", async () => {
    const { extract, release } = stuck();
    const { send, installs } = await open({ extract });
    const ids: string[] = [];
    for (let n = 0; n < 20; n++) ids.push(await send(Buffer.from("zip")));
    expect((await installs.get(ids[19] ?? "")).status).toBe("queued");
    await expect(send(Buffer.from("zip"))).rejects.toMatchObject({
      code: "QUEUE_FULL",
      retryAfterSeconds: 10,
    });
    release();
    await Promise.all(ids.map((each) => settled(installs, each)));
    expect(refusal(installs)).toBeUndefined();
  });

  test("waits for the next start when the server stops", async () => {
    const { extract, release } = stuck();
    const { send, installs, folder } = await open({ extract });
    const running = await send(packageZip(id, version("1")));
    const queued = await send(packageZip(id, version("2")));
    await expect.poll(async () => (await installs.get(running)).status).toBe("running");
    const stopped = installs.stop();
    await expect(send(Buffer.from("zip"))).rejects.toMatchObject({ code: "SHUTTING_DOWN" });
    release();
    await stopped;
    const next = openInstalls(folder);
    await next.installs.recover();
    expect(await next.installs.get(running)).toMatchObject({ status: "failed", error: { code: "INTERNAL" } });
    expect(await settled(next.installs, queued)).toMatchObject({ status: "succeeded", version: "2" });
  });
});

test("the last 50 are kept, and whatever has not ended", async () => {
  const records = createInstallRecords(createRecordStore(memoryDriver()));
  const ids = Array.from({ length: 60 }, (_, n) => ulid(n + 1));
  for (const [n, each] of ids.entries()) {
    await records.save({ ...newRecord(each), status: n === 3 ? "queued" : "failed" });
  }
  await records.forgetOldest();
  expect(await records.ids()).toEqual([ids[3], ...ids.slice(10)]);
});

test("a disk that was full for a moment does not keep packages out for ever", async () => {
  const kept = createRecordStore(fsDriver({ base: join(await temporaryFolder(), "state") }));
  let full = false;
  let begin = () => {};
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const records = {
    ...kept,
    write: (...record: Parameters<typeof kept.write>) =>
      full ? Promise.reject(new Error("ENOSPC")) : kept.write(...record),
  };
  const extract = async () => {
    await begun;
    throw new Error("no zip");
  };
  const { installs, send } = await open({ records, extract });
  const ids: string[] = [];
  for (let n = 0; n < 20; n++) ids.push(await send(Buffer.from("x")));
  expect(() => installs.assertAccepting()).toThrow(expect.objectContaining({ code: "QUEUE_FULL" }));
  full = true;
  begin();
  for (const id of ids) expect((await settled(installs, id)).status).toBe("failed");
  full = false;
  expect(() => installs.assertAccepting()).not.toThrow();
  // What could not be stored is stored when there is room, without another install.
  const stored = async () =>
    JSON.stringify(await Promise.all(ids.map((id) => kept.read(`skill_installs:${id}`))));
  await expect.poll(stored, { timeout: 10_000 }).not.toMatch(/"status":"(queued|running)"/);
}, 20_000);
