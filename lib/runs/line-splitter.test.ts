import { describe, expect, test } from "vitest";
import { createLineSplitter } from "./line-splitter.ts";

function split(chunks: (string | Buffer)[], limit?: number) {
  const lines: string[] = [];
  let overflows = 0;
  const splitter = createLineSplitter(
    (line) => lines.push(line),
    () => {
      overflows += 1;
    },
    limit,
  );
  for (const chunk of chunks) splitter.write(Buffer.from(chunk));
  splitter.end();
  return { lines, overflows };
}

describe("cutting a stream into lines", () => {
  test("lines may span chunks, end with CRLF, or have no end", () => {
    expect(split(["a\nb", "c\r\n", "\nlast"]).lines).toEqual(["a", "bc", "", "last"]);
  });

  test("a character cut by a chunk border stays whole", () => {
    const bytes = Buffer.from("é€\n");
    expect(split([bytes.subarray(0, 1), bytes.subarray(1, 4), bytes.subarray(4)]).lines).toEqual(["é€"]);
  });

  test("invalid UTF-8 does no harm", () => {
    expect(split([Buffer.from([0xff, 0xfe, 0x0a])]).lines).toEqual(["\ufffd\ufffd"]);
  });

  test("a line over the limit is dropped once, and what follows it is read", () => {
    expect(split(["x".repeat(8), "y".repeat(8), "\nnext\n"], 10)).toEqual({ lines: ["next"], overflows: 1 });
  });

  test("an endless line costs no memory", () => {
    const before = process.memoryUsage().heapUsed;
    const chunk = "z".repeat(1024 * 1024);
    const { lines, overflows } = split(Array.from({ length: 200 }, () => chunk));
    expect({ lines, overflows }).toEqual({ lines: [], overflows: 1 });
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(100 * 1024 * 1024);
  });
});
