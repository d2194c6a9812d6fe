import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { RunnerError } from "../errors.ts";
import { type MultipartOptions, receiveMultipart } from "./multipart.ts";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "multipart-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

type Body = string | FormData | ReadableStream<Uint8Array> | null;
const mib = 1024 * 1024;
const contentType = "multipart/form-data; boundary=cut";

function receive(
  body: Body,
  options: Partial<MultipartOptions> = {},
  headers: Record<string, string> = {},
  signal?: AbortSignal,
) {
  const given = body instanceof FormData ? {} : { "content-type": contentType };
  const init: RequestInit = { method: "POST", body, headers: { ...given, ...headers }, duplex: "half" };
  const request = new Request("http://host/", signal === undefined ? init : { ...init, signal });
  const allowed = { files: ["file", "more"], fields: ["note"] };
  return receiveMultipart(request, { dir, allowed, maxBytes: 10 * mib, maxFiles: 2, ...options });
}

/** The failure that a body must end in; checks that no file stays behind. */
async function refuse(...args: Parameters<typeof receive>): Promise<RunnerError> {
  const error = await receive(...args).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(await readdir(dir)).toEqual([]);
  if (!(error instanceof RunnerError)) throw new Error(`not a RunnerError: ${String(error)}`);
  return error;
}

/** A part as a client would write it. */
const part = (disposition: string, content: string) =>
  `--cut\r\nContent-Disposition: form-data; ${disposition}\r\n\r\n${content}\r\n`;
const file = (content: string, name = "file", filename = "x.zip") =>
  part(`name="${name}"; filename="${filename}"`, content);

/** A body that sends `chunks` and then waits for ever, or fails with `error`. */
const stream = (chunks: readonly (string | Uint8Array)[], error?: Error) => {
  const left = chunks.map((chunk) => (typeof chunk === "string" ? Buffer.from(chunk) : chunk));
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      const next = left.shift();
      if (next !== undefined) controller.enqueue(next);
      else if (error !== undefined) controller.error(error);
      else return new Promise(() => {});
    },
  });
};

describe("what is received", () => {
  test("files under names of our own, and fields", async () => {
    const form = new FormData();
    form.append("file", new Blob(["zip bytes"]), "../../etc/отчёт.zip");
    form.append("note", "hello ✓");
    const { files, fields } = await receive(form);
    expect(fields).toEqual({ note: "hello ✓" });
    expect(files).toMatchObject([{ field: "file", filename: "отчёт.zip", bytes: 9 }]);
    expect(await readdir(dir)).toEqual([files[0]?.path.slice(dir.length + 1)]);
    expect(files[0]?.path).toMatch(/\/[\w-]{36}\.part$/);
    expect(await readFile(files[0]?.path ?? "", "utf8")).toBe("zip bytes");
  });

  test("a form with nothing in it, with empty parts, and a file part without a file name", async () => {
    expect(await receive("--cut--\r\n")).toEqual({ files: [], fields: {} });
    const { files, fields } = await receive(`${file("")}${part('name="note"', "")}--cut--`);
    expect(fields).toEqual({ note: "" });
    expect(files).toMatchObject([{ bytes: 0 }]);
    expect((await receive(`${part("name=file", "plain")}--cut--`)).files).toMatchObject([
      { filename: "", bytes: 5 },
    ]);
  });

  test("a body in single bytes, with preamble, epilogue and a quoted boundary", async () => {
    const body = `preamble\r\n${file("con\r\n--cu\r\ntent")}${part('name="note"', "n")}--cut--\r\nepilogue`;
    const bytes = [...Buffer.from(body)].map((byte) => Uint8Array.of(byte));
    const source = new ReadableStream<Uint8Array>({
      pull(controller) {
        const next = bytes.shift();
        if (next === undefined) controller.close();
        else controller.enqueue(next);
      },
    });
    const type = 'Multipart/Form-Data; charset=utf-8; boundary="cut"';
    const { files, fields } = await receive(source, {}, { "content-type": type });
    expect(await readFile(files[0]?.path ?? "", "utf8")).toBe("con\r\n--cu\r\ntent");
    expect(fields).toEqual({ note: "n" });
  });

  test("100 MiB reach the disk through bounded memory", async () => {
    const chunk = Buffer.alloc(256 * 1024, "x");
    const hash = createHash("sha256");
    let left = 400;
    let peak = 0;
    const before = process.memoryUsage().arrayBuffers;
    const body = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          if (left === 400) controller.enqueue(Buffer.from(file("").slice(0, -2)));
          if (left-- === 0) {
            controller.enqueue(Buffer.from("\r\n--cut--\r\n"));
            controller.close();
            return;
          }
          controller.enqueue(Uint8Array.from(chunk));
          hash.update(chunk);
          peak = Math.max(peak, process.memoryUsage().arrayBuffers - before);
        },
      },
      { highWaterMark: 1 },
    );
    const { files } = await receive(body, { maxBytes: 101 * mib });
    const stored = createHash("sha256").update(await readFile(files[0]?.path ?? ""));
    expect(stored.digest("hex")).toBe(hash.digest("hex"));
    expect(peak).toBeLessThan(64 * mib);
  });
});

describe("what is refused", () => {
  test.each(["application/json", "multipart/mixed; boundary=cut", "multipart/form-dataX; boundary=cut", ""])(
    "content type %j",
    async (type) => {
      const error = await refuse(`${file("x")}--cut--`, {}, { "content-type": type });
      expect(error.code).toBe("MEDIA_TYPE_UNSUPPORTED");
    },
  );

  test.each(["", "; boundary=", '; boundary=""', "; charset=utf-8", `; boundary=${"b".repeat(71)}`])(
    "a boundary that is %j",
    async (parameter) => {
      const error = await refuse(
        `${file("x")}--cut--`,
        {},
        { "content-type": `multipart/form-data${parameter}` },
      );
      expect(error).toMatchObject({ code: "UPLOAD_INVALID", message: expect.stringContaining("boundary") });
    },
  );

  test.each([
    ["no body", null],
    ["an empty body", ""],
    ["no multipart at all", "hello"],
    ["another boundary", `${file("x")}--cut--`.replaceAll("cut", "other")],
    ["cut in a file", file("x".repeat(200_000)).slice(0, 150_000)],
    ["cut in a field", part('name="note"', "xyz").slice(0, -4)],
    ["cut in a part's headers", `${file("x")}--cut\r\nContent-Disp`],
    ["cut before the last boundary", file("x")],
    ["a field over 1 MiB", `${part('name="note"', "x".repeat(mib + 1))}--cut--`],
    ["a part without a name", `${part('filename="a"', "x")}--cut--`],
  ])("%s", async (_name, body) => {
    expect((await refuse(body)).code).toBe("UPLOAD_INVALID");
  });

  test.each([
    ["unknown file", `${file("x")}${file("x", "other")}`, '"other"'],
    ["unknown field", `${file("x")}${part('name="__proto__"', "x")}`, '"__proto__"'],
    ["repeated file", `${file("x")}${file("y")}`, "twice"],
    ["repeated field", `${part('name="note"', "x")}${file("x")}${part('name="note"', "x")}`, "twice"],
  ])("%s, with the allowed names", async (_name, parts, reason) => {
    const error = await refuse(`${parts}--cut--`);
    expect(error.code).toBe("UPLOAD_INVALID");
    expect(error.message).toContain(reason);
    expect(error.message).toContain("files: file, more; fields: note");
  });

  test("too many files", async () => {
    const error = await refuse(`${file("x")}${file("x", "more")}--cut--`, { maxFiles: 1 });
    expect(error).toMatchObject({
      code: "UPLOAD_INVALID",
      message: expect.stringContaining("more than 1 file"),
    });
  });

  test("a body over the limit, declared or not", async () => {
    const huge = stream([file("x".repeat(5 * mib)), "x".repeat(6 * mib)]);
    expect((await refuse(huge)).code).toBe("BODY_TOO_LARGE");
    const unread = stream([file("x")]);
    const headers = { "content-length": String(11 * mib) };
    expect((await refuse(unread, {}, headers)).code).toBe("BODY_TOO_LARGE");
  });

  test("a folder that cannot be written to is our fault", async () => {
    const error = await refuse(stream([file("x".repeat(mib))]), { dir: join(dir, "missing") });
    expect(error.code).toBe("STORAGE_FAILED");
    expect(error.message).not.toContain(dir);
  });
});

describe("files under one name", () => {
  const allowed = { files: ["files", "once"], fields: ["note"], repeated: ["files"] };
  const options = { allowed, maxFiles: 3, maxFileBytes: 1000, maxTotalFileBytes: 2000 };
  const named = (filename: string, bytes = 1) => file(filename.charAt(0).repeat(bytes), "files", filename);

  test("come in their order, with the names that the client gave them", async () => {
    const body = `${named("b.txt", 1000)}${part('name="note"', "n")}${named("a.txt", 999)}${named("b.txt")}--cut--`;
    const { files, fields } = await receive(body, options);
    expect(fields).toEqual({ note: "n" });
    expect(files.map(({ field, filename, bytes }) => [field, filename, bytes])).toEqual([
      ["files", "b.txt", 1000],
      ["files", "a.txt", 999],
      ["files", "b.txt", 1],
    ]);
    const texts = await Promise.all(files.map(({ path }) => readFile(path, "utf8")));
    expect(texts).toEqual(["b".repeat(1000), "a".repeat(999), "b"]);
  });

  test.each([
    ["one too many", Array(4).fill(named("a")).join(""), "UPLOAD_INVALID", "more than 3 file"],
    [
      "another name twice",
      `${file("x", "once")}${file("x", "once")}`,
      "UPLOAD_INVALID",
      '"once" was sent twice',
    ],
    ["a field twice", part('name="note"', "x").repeat(2), "UPLOAD_INVALID", "once each but for files"],
    [
      "one over its limit",
      `${named("a")}${named("large.bin", 1001)}`,
      "BODY_TOO_LARGE",
      '"large.bin" is over 1000',
    ],
    [
      "too much together",
      `${named("a", 1000)}${named("b", 1000)}${named("c")}`,
      "BODY_TOO_LARGE",
      "over 2000",
    ],
  ])("%s is refused", async (_name, parts, code, reason) => {
    const error = await refuse(`${parts}--cut--`, options);
    expect(error).toMatchObject({ code, message: expect.stringContaining(reason) });
  });

  test("one that is over its limit is not waited for", async () => {
    const unending = stream([named("a", 500).slice(0, -2), "a".repeat(501)]);
    expect((await refuse(unending, options)).code).toBe("BODY_TOO_LARGE");
  });
});

describe("a client that goes away", () => {
  test("a body that fails in the middle", async () => {
    const error = await refuse(stream([file("x".repeat(mib)).slice(0, -100)], new Error("ECONNRESET")));
    expect(error.code).toBe("UPLOAD_INVALID");
  });

  test("a body that stops coming, when the request is aborted", async () => {
    const client = new AbortController();
    const refused = refuse(stream([file("x".repeat(mib)).slice(0, -100)]), {}, {}, client.signal);
    await expect.poll(() => readdir(dir)).toHaveLength(1);
    client.abort();
    expect((await refused).code).toBe("UPLOAD_INVALID");
  });

  test("a request that was aborted before it was read", async () => {
    expect((await refuse(stream([]), {}, {}, AbortSignal.abort())).code).toBe("UPLOAD_INVALID");
  });
});
