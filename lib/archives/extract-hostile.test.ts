import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { RunnerError } from "../errors.ts";
import { extractZip } from "./extract.ts";
import { type FixtureEntry, makeZip } from "./zip-fixture.ts";

const limits = { maxEntries: 100, maxEntryBytes: 1e6, maxTotalBytes: 1e7, maxRatio: 100 };
let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "hostile-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** The ARCHIVE_INVALID that `zip` must be refused with; checks that nothing stays behind. */
async function refuse(zip: Buffer): Promise<RunnerError> {
  const path = join(root, "in.zip");
  await writeFile(path, zip);
  const error = await extractZip(path, join(root, "out"), limits).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(await readdir(root)).toEqual(["in.zip"]);
  if (!(error instanceof RunnerError)) throw new Error(`not a RunnerError: ${String(error)}`);
  expect(error.code).toBe("ARCHIVE_INVALID");
  expect(error.message).toMatch(/\. [A-Z].*\.$/s);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: messages must have none
  expect(error.message).not.toMatch(/[\x00-\x1f\x7f-\x9f]/);
  return error;
}

describe("names", () => {
  test.each([
    ["../up.txt", '".."'],
    ["a/../../up.txt", '".."'],
    ["__MACOSX/../../up.txt", '".."'],
    ["..", '".."'],
    ["/etc/passwd", "absolute"],
    ["/", "absolute"],
    ["C:/x", "absolute"],
    ["c:x", "absolute"],
    ["a\\b.txt", "backslash"],
    ["..\\up.txt", "backslash"],
    ["a\0.txt", "control"],
    ["a\nb", "control"],
    ["a\u0085b", "control"],
    ["a//b", "empty"],
    ["a//", "empty"],
    ["./a", '"."'],
    ["a/./b", '"."'],
    ["", "no name"],
    ["x".repeat(256), "255 bytes"],
    ["é".repeat(128), "255 bytes"],
    [Array(6).fill("y".repeat(200)).join("/"), "1024 bytes"],
    [Array(33).fill("d").join("/"), "32 folders"],
  ])("%j is refused", async (name, reason) => {
    const error = await refuse(makeZip([{ name: "good.txt", content: "good" }, { name }]));
    expect(error.message).toContain(reason);
    expect(error.issues).toHaveLength(1);
  });

  test("bytes that are no UTF-8 though flagged so", async () => {
    expect((await refuse(makeZip([{ name: Buffer.from([0x61, 0xff]) }]))).message).toContain("Unicode");
  });

  test("a name hidden in the Unicode path field", async () => {
    const name = Buffer.from("nice.txt");
    const evil = Buffer.from("../evil");
    const field = Buffer.alloc(9);
    field.writeUInt16LE(0x7075, 0);
    field.writeUInt16LE(5 + evil.length, 2);
    field.writeUInt8(1, 4);
    field.writeUInt32LE(crc32(name), 5);
    expect((await refuse(makeZip([{ name, extra: Buffer.concat([field, evil]) }]))).message).toContain(
      '".."',
    );
  });

  test("long and invisible names are shortened and escaped in messages, and pointed at", async () => {
    const error = await refuse(makeZip([{ name: `a/\u202e~${"n".repeat(2000)}` }]));
    expect(error.message.length).toBeLessThan(250);
    expect(error.message).toContain('Entry "a/\\u{202e}~nnn');
    expect(error.issues[0]?.pointer).toMatch(/^\/a~1\\u\{202e\}~0nnn/);
  });
});

describe("names that meet", () => {
  test.each([
    [["a.txt", "a.txt"], "more than once"],
    [["a/", "a/"], "more than once"],
    [["a.txt", "A.TXT"], "upper and lower case"],
    [["straße", "STRASSE"], "upper and lower case"],
    [["caf\u00e9", "cafe\u0301"], "accents"],
    [["Docs/a", "docs/b"], "upper and lower case"],
    [["a", "a/b"], "both a file and a folder"],
    [["a/b", "a"], "both a file and a folder"],
    [["a", "a/"], "both a file and a folder"],
  ])("%j are refused", async (names, reason) => {
    expect((await refuse(makeZip(names.map((name) => ({ name }))))).message).toContain(reason);
  });
});

describe("entries", () => {
  const cases: [string, FixtureEntry, string][] = [
    ["symlink", { name: "link", content: "/etc/passwd", mode: 0o120777 }, "link"],
    ["fifo", { name: "pipe", mode: 0o010644 }, "special"],
    ["device", { name: "dev", mode: 0o020644 }, "special"],
    ["socket", { name: "socket", mode: 0o140644 }, "special"],
    ["DOS volume label", { name: "disk", mode: 0, dosAttributes: 8 }, "special"],
    ["folder named like a file", { name: "dir", mode: 0o040755 }, "folder"],
    ["folder with content", { name: "dir/", content: "x", mode: 0o040755 }, "content"],
    ["encrypted", { name: "secret", content: "x", flags: 0x801 }, "encrypted"],
    ["masked directory", { name: "secret", content: "x", flags: 0x2800 }, "encrypted"],
    ["strong encryption", { name: "secret", content: "x", flags: 0x841 }, "encryption"],
    ["bzip2", { name: "b", content: "x", method: 12 }, "method 12"],
    ["wrong checksum", { name: "c", content: "x", declared: { crc: 1 } }, "damaged"],
    ["too few bytes", { name: "s", content: "x", declared: { bytes: 2 } }, "damaged"],
    ["too many bytes", { name: "s", content: "xyz", declared: { bytes: 2 } }, "damaged"],
    ["stored with two sizes", { name: "s", content: "x", method: 0, declared: { bytes: 2 } }, "damaged"],
    ["no deflate stream", { name: "d", content: "x", packed: Buffer.from([0xff, 0xff]) }, "damaged"],
    ["a cut deflate stream", { name: "d", content: "x", packed: Buffer.from([0x4b]) }, "damaged"],
    ["content past the end", { name: "e", content: "x", declared: { packedBytes: 9999 } }, "damaged"],
    ["header past the end", { name: "e", content: "x", declared: { offset: 0x7fffffff } }, "damaged"],
    ["header nowhere", { name: "e", content: "x", declared: { offset: 1 } }, "damaged"],
    [
      "zip64 field cut",
      { name: "e", declared: { bytes: 0xffffffff }, extra: Buffer.from([1, 0, 0, 0]) },
      "zip64",
    ],
    ["extra field cut", { name: "e", extra: Buffer.from([1, 0, 9, 0]) }, "extra field"],
  ];
  test.each(cases)("%s is refused", async (_name, entry, reason) => {
    expect((await refuse(makeZip([{ name: "good.txt" }, entry]))).message).toContain(reason);
  });
});

describe("files that are no zip", () => {
  const good = makeZip([{ name: "a.txt", content: "some text" }]);
  const zip64Locator = Buffer.concat([Buffer.from("PK\x06\x07", "latin1"), Buffer.alloc(16, 0xff)]);
  test.each([
    ["empty", Buffer.alloc(0)],
    ["text", Buffer.from("hello".repeat(100))],
    ["only its beginning", good.subarray(0, good.length - 30)],
    ["only its end", good.subarray(good.length - 40)],
    ["bytes after its end", Buffer.concat([good, Buffer.from("more")])],
    ["more entries declared than there are", makeZip([{ name: "a" }], 2)],
    // yauzl alone would crash the process on this one
    ["a zip64 record at 2^64", Buffer.concat([Buffer.alloc(64), zip64Locator, good.subarray(-22)])],
  ])("%s", async (_name, bytes) => {
    expect((await refuse(bytes)).message).toContain("not a readable zip");
  });

  test("cut at any byte", async () => {
    for (let length = 0; length < good.length; length++) await refuse(good.subarray(0, length));
  });

  test("any one byte flipped is refused or harmless, and never crashes", async () => {
    for (let index = 0; index < good.length; index++) {
      const bytes = Buffer.from(good);
      bytes.writeUInt8((bytes[index] ?? 0) ^ 0xff, index);
      await writeFile(join(root, "in.zip"), bytes);
      const outcome = await extractZip(join(root, "in.zip"), join(root, "out"), limits).catch(
        (e: unknown) => e,
      );
      expect(Array.isArray(outcome) || outcome instanceof RunnerError).toBe(true);
      await rm(join(root, "out"), { recursive: true, force: true });
      expect(await readdir(root)).toEqual(["in.zip"]);
    }
  });
});
