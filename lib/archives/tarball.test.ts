import { execFileSync } from "node:child_process";
import {
  chmod,
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  realpath,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterEach, beforeEach, expect, test } from "vitest";
import { packFolder, unpackFolder } from "./tarball.ts";

let root: string;
let from: string;
let to: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "tarball-"));
  [from, to] = [join(root, "from"), join(root, "to")];
  await mkdir(from);
  await mkdir(to);
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** Packs and unpacks; gives what was left out. */
async function thereAndBack(keeps: (path: string) => boolean = () => true): Promise<string[]> {
  const leftOut: string[] = [];
  await unpackFolder(packFolder(from, { keeps, onLeftOut: (path) => leftOut.push(path) }), to);
  return leftOut;
}

test("files, modes, times, empty folders, long and foreign names, and sizes around a block arrive as they were", async () => {
  const deep = Array(12).fill("a-folder-with-a-long-name").join("/");
  await mkdir(join(from, deep), { recursive: true });
  await mkdir(join(from, "empty"));
  const names = ["plain.txt", `${deep}/報告 2 – “x”.txt`, "run.sh", "x".repeat(250)];
  for (const [i, name] of names.entries()) await writeFile(join(from, name), "x".repeat(511 + i));
  await writeFile(join(from, "nothing"), "");
  await chmod(join(from, "run.sh"), 0o755);
  expect(await thereAndBack()).toEqual([]);
  for (const [i, name] of names.entries()) {
    expect(await readFile(join(to, name), "utf8")).toBe("x".repeat(511 + i));
    const [before, after] = [await stat(join(from, name)), await stat(join(to, name))];
    expect(after.mode).toBe(before.mode);
    expect(Math.abs(after.mtimeMs - before.mtimeMs)).toBeLessThan(1_000);
  }
  expect(await readFile(join(to, "nothing"), "utf8")).toBe("");
  expect(await readdir(join(to, "empty"))).toEqual([]);
});

test("links through links lead where they led, and one that leads nowhere costs no more than itself", async () => {
  await mkdir(join(from, "v2", "lib"), { recursive: true });
  await writeFile(join(from, "v2", "lib", "a.so.1"), "1");
  await symlink("v2", join(from, "latest"));
  await symlink("latest", join(from, "newest"));
  await symlink("../newest/lib/a.so.1", join(from, "v2", "a.so"));
  await symlink(from, join(from, "v2", "whole"));
  await symlink(join(from, "v2"), join(from, "v2", "here"));
  await symlink("gone", join(from, "dangling"));
  await symlink("dangling", join(from, "more-dangling"));
  await symlink("around", join(from, "around"));
  expect(await thereAndBack()).toEqual([]);
  const inside = await realpath(to);
  expect(await realpath(join(to, "newest"))).toBe(join(inside, "v2"));
  expect(await readFile(join(to, "v2", "a.so"), "utf8")).toBe("1");
  expect(await realpath(join(to, "v2", "whole"))).toBe(inside);
  expect(await realpath(join(to, "v2", "here"))).toBe(join(inside, "v2"));
  expect(await readlink(join(to, "dangling"))).toBe("gone");
});

test("links inside come along, hard links become files, links that lead out, pipes and names that are no text do not", async () => {
  await writeFile(join(from, "a"), "1");
  await link(join(from, "a"), join(from, "z-hard"));
  await mkdir(join(from, "d"));
  await symlink("../a", join(from, "d", "inside"));
  await symlink("/etc/passwd", join(from, "absolute"));
  await symlink(join(from, "a"), join(from, "d", "own"));
  await symlink("../../../../etc/passwd", join(from, "d", "upwards"));
  execFileSync("mkfifo", [join(from, "pipe")]);
  await writeFile(Buffer.concat([Buffer.from(`${from}/`), Buffer.of(0x62, 0xff)]), "x");
  const leftOut = (await thereAndBack()).sort();
  expect(leftOut).toEqual(["absolute", expect.stringMatching(/^b/), "d/upwards"]);
  expect((await readdir(to)).sort()).toEqual(["a", "d", "z-hard"]);
  expect(await readFile(join(to, "z-hard"), "utf8")).toBe("1");
  expect(await readlink(join(to, "d", "inside"))).toBe("../a");
  expect(await readlink(join(to, "d", "own"))).toBe("../a");
  expect((await readdir(join(to, "d"))).sort()).toEqual(["inside", "own"]);
});

test("what vanishes while it is packed is left out, and what is not wanted is not looked at", async () => {
  for (const name of ["a", "gone/x", "kept/x", "skipped/x"]) {
    await mkdir(join(from, name, ".."), { recursive: true });
    await writeFile(join(from, name), "x");
  }
  const leftOut = await thereAndBack((path) => {
    if (path === "gone") execFileSync("rm", ["-r", join(from, "gone")]);
    return path !== "skipped";
  });
  expect(leftOut).toEqual(["gone"]);
  expect((await readdir(to)).sort()).toEqual(["a", "kept"]);
});

test("names that node-tar would spell another way, and what lies too deep for it, are left out and told of", async () => {
  const kept = ["a\\b", " c ", "..x", "new\nline"];
  for (const name of [...kept, "C:x", "\\root", "d\\..\\e"]) await writeFile(join(from, name), name);
  await symlink("C:x", join(from, "link"));
  await symlink("..\\..\\x", join(from, "link-up"));
  await mkdir(join(from, ...Array<string>(1_000).fill("f")), { recursive: true });
  const deepest = Array(101).fill("f").join("/");
  const long = "g".repeat(200);
  await mkdir(join(from, ...Array<string>(17).fill(long)), { recursive: true });
  const longest = Array(15).fill(long).join("/");
  expect((await thereAndBack()).sort()).toEqual([
    ...["C:x", "\\root", "d\\..\\e", deepest, longest, "link", "link-up"],
  ]);
  expect((await readdir(to)).sort()).toEqual([...kept, "f", long].sort());
});

test("a file of zeros, which is packed to less than its thousandth part, arrives", async () => {
  const size = 40_000_000;
  await writeFile(join(from, "zeros"), Buffer.alloc(size));
  await thereAndBack();
  expect((await stat(join(to, "zeros"))).size).toBe(size);
});

async function packed(): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const bytes of packFolder(from, { keeps: () => true, onLeftOut() {} })) pieces.push(bytes);
  return Buffer.concat(pieces);
}

async function* stream(bytes: Uint8Array) {
  yield bytes;
}

test("an archive that is cut off is refused", async () => {
  await writeFile(join(from, "a"), "x".repeat(100_000));
  const whole = await packed();
  await expect(unpackFolder(stream(whole.subarray(0, whole.length / 2)), to)).rejects.toThrow();
});

test("what cannot be written is told with the system's reason, and not taken for done", async () => {
  for (const name of ["a", "b"]) await writeFile(join(from, name), "x");
  // Where a folder with something in it stands, there can be no file.
  await mkdir(join(to, "a", "x"), { recursive: true });
  await expect(unpackFolder(stream(await packed()), to)).rejects.toMatchObject({ code: "ENOTEMPTY" });
});

test("an entry that is broken is not passed over", async () => {
  for (const name of ["a", "b"]) await writeFile(join(from, name), "x");
  const tar = gunzipSync(await packed());
  // The first letter of the second entry's name: its header's checksum does not fit any more.
  tar[1024] = 0x7a;
  await expect(unpackFolder(stream(gzipSync(tar)), to)).rejects.toThrow("TAR_ENTRY_INVALID");
});
