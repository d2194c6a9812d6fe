import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { deflateRawSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ZipFile } from "yazl";
import { RunnerError } from "../errors.ts";
import { extractZip } from "./extract.ts";
import type { ExtractLimits } from "./limits.ts";
import { type FixtureEntry, makeZip } from "./zip-fixture.ts";

const mib = 1024 * 1024;
const generous = { maxEntries: 100, maxEntryBytes: 300 * mib, maxTotalBytes: 400 * mib, maxRatio: 100 };

let root: string;
let zip: string;
let target: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "extract-"));
  zip = join(root, "in.zip");
  target = join(root, "out");
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function extract(source: Buffer | readonly FixtureEntry[], limits: Partial<ExtractLimits> = {}) {
  await writeFile(zip, Buffer.isBuffer(source) ? source : makeZip(source));
  return extractZip(zip, target, { ...generous, ...limits });
}

/** Extracts what must be refused, checks that nothing stays behind, and returns the refusal. */
async function refuse(source: Buffer | readonly FixtureEntry[], limits: Partial<ExtractLimits> = {}) {
  const error = await extract(source, limits).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(await readdir(root)).toEqual(["in.zip"]);
  if (!(error instanceof RunnerError)) throw new Error(`not a RunnerError: ${String(error)}`);
  expect(error.message).not.toContain(root);
  return error;
}

describe("what is unpacked", () => {
  test("nested folders, empty files and folders, stored and deflated", async () => {
    const files = await extract([
      { name: "z.txt", content: "last" },
      { name: "a/", mode: 0o040755, dosAttributes: 0x10 },
      { name: "a/b/c.txt", content: "deep", method: 0 },
      { name: "empty-folder/", mode: 0 },
      { name: "empty.txt", method: 0 },
    ]);
    expect(files).toEqual(["a/b/c.txt", "empty.txt", "z.txt"]);
    expect(await readFile(join(target, "a/b/c.txt"), "utf8")).toBe("deep");
    expect((await stat(join(target, "empty-folder"))).isDirectory()).toBe(true);
    expect(await readdir(root)).toEqual(["in.zip", "out"]);
  });

  test("an empty zip, also into an empty folder that is already there", async () => {
    await mkdir(target);
    expect(await extract([])).toEqual([]);
    expect(await readdir(target)).toEqual([]);
  });

  test("zip64 and data descriptors, as yazl writes them", async () => {
    const writer = new ZipFile();
    writer.addBuffer(Buffer.from("one"), "one.txt", { forceZip64Format: true });
    writer.end({ forceZip64Format: true, comment: "a comment" });
    const bytes = await text(writer.outputStream.setEncoding("latin1"));
    expect(await extract(Buffer.from(bytes, "latin1"))).toEqual(["one.txt"]);
    expect(await readFile(join(target, "one.txt"), "utf8")).toBe("one");
  });

  test("unicode names: flagged UTF-8, unflagged UTF-8 as macOS writes it, and CP437", async () => {
    const files = await extract([
      { name: "отчёт/数据 🎉.csv" },
      { name: "é.txt", flags: 0 },
      { name: Buffer.from([0x81, 0x2e, 0x74]), flags: 0 },
    ]);
    expect(files).toEqual(["é.txt", "ü.t", "отчёт/数据 🎉.csv"]);
  });

  test("what macOS adds is skipped", async () => {
    const litter = ["__MACOSX/._a.txt", "__MACOSX/", ".DS_Store", "sub/.DS_Store"];
    const files = await extract([{ name: "a.txt" }, ...litter.map((name) => ({ name }))]);
    expect(files).toEqual(["a.txt"]);
    expect(await readdir(target)).toEqual(["a.txt"]);
  });

  test("modes: 0644 whatever the zip says, 0755 for executables when asked", async () => {
    await writeFile(zip, makeZip([{ name: "run.sh", mode: 0o104777 }, { name: "a.txt" }]));
    const mode = async (path: string) => (await stat(path)).mode & 0o7777;
    await extractZip(zip, target, generous);
    expect(await mode(join(target, "run.sh"))).toBe(0o644);
    await extractZip(zip, join(root, "kept"), generous, { keepExecutable: true });
    expect(await mode(join(root, "kept/run.sh"))).toBe(0o755);
    expect(await mode(join(root, "kept/a.txt"))).toBe(0o644);
  });

  test("a target with something in it is left as it is", async () => {
    await mkdir(target);
    await writeFile(join(target, "mine"), "kept");
    await expect(extract([{ name: "a" }])).rejects.toMatchObject({ code: "STORAGE_FAILED" });
    expect(await readdir(target)).toEqual(["mine"]);
    expect(await readdir(root)).toEqual(["in.zip", "out"]);
  });
});

describe("limits", () => {
  const zeros = Buffer.alloc(200 * mib);
  const bomb = deflateRawSync(zeros);

  test("a bomb is refused by its ratio", async () => {
    const error = await refuse([{ name: "bomb", content: zeros, packed: bomb }]);
    expect(error.code).toBe("ARCHIVE_TOO_LARGE");
    expect(error.message).toContain("bomb");
    expect(error.message).toContain("100 times");
  });

  test.each([
    ["a byte count it lies about", { bytes: 10 }, { maxRatio: 1e9, maxEntryBytes: mib }],
    ["all files together", { bytes: 10 }, { maxRatio: 1e9, maxTotalBytes: mib }],
    ["its ratio, whatever size it declares", { bytes: 10 }, {}],
    ["the honest size", {}, { maxRatio: 1e9, maxEntryBytes: mib }],
  ])("a bomb is refused by %s", async (_name, declared, limits) => {
    const error = await refuse([{ name: "bomb", content: zeros, packed: bomb, declared }], limits);
    expect(error.code).toBe("ARCHIVE_TOO_LARGE");
  });

  test("entries that share packed bytes are measured against the file", async () => {
    const shared = {
      content: zeros.subarray(0, 50 * mib),
      packed: deflateRawSync(zeros.subarray(0, 50 * mib)),
    };
    const alias = {
      ...shared,
      packed: Buffer.alloc(0),
      declared: { packedBytes: shared.packed.length, offset: 0 },
    };
    const error = await refuse(
      [{ name: "a", ...shared }, ...["b", "c", "d"].map((name) => ({ name, ...alias }))],
      { maxRatio: 2500 },
    );
    expect(error).toMatchObject({
      code: "ARCHIVE_TOO_LARGE",
      message: expect.stringContaining("archive over"),
    });
  });

  test("bytes after the deflate stream do not make an entry look less compressed", async () => {
    const packed = Buffer.concat([deflateRawSync(zeros.subarray(0, 20 * mib)), Buffer.alloc(mib, 7)]);
    const error = await refuse([{ name: "padded", content: zeros.subarray(0, 20 * mib), packed }]);
    expect(error).toMatchObject({ code: "ARCHIVE_INVALID", message: expect.stringContaining("damaged") });
  });

  test("small files may compress as well as they can", async () => {
    expect(await extract([{ name: "a", content: "0".repeat(500_000) }], { maxRatio: 2 })).toEqual(["a"]);
  });

  test("too many entries, counted before any is read", async () => {
    const many = [1, 2, 3, 4].map((n) => ({ name: `${n}` }));
    expect(await extract(many, { maxEntries: 4 })).toHaveLength(4);
    await rm(target, { recursive: true });
    expect((await refuse(many, { maxEntries: 3 })).code).toBe("ARCHIVE_TOO_LARGE");
    expect((await refuse(makeZip([], 60_000))).code).toBe("ARCHIVE_TOO_LARGE");
  });
});
