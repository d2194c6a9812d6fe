import fc from "fast-check";
import { expect, test } from "vitest";
import { createSequenceRemover } from "./control-sequences.ts";

function through(pieces: readonly Buffer[]): string {
  const remover = createSequenceRemover();
  return Buffer.concat([...pieces.map((piece) => remover.push(piece)), remover.end()]).toString();
}

const sequences = [
  "\u001b[31m",
  "\u001b[0m",
  "\u001b[38;5;196m",
  "\u001b[2K",
  "\u001b[?25l",
  "\u001b]0;title\u0007",
  "\u001b]8;;https://example.org\u001b\\",
  "\u001bM",
  "\u001b(B",
];

test("what is printed comes through without its colours, however it is cut", () => {
  const plain = fc.constantFrom("sk-", "0123", "é", "£", "🙂", "\n", "{", "[31m", " ", '\u009b"}');
  const parts = fc.array(fc.record({ text: plain, sequence: fc.constantFrom("", ...sequences) }));
  fc.assert(
    fc.property(parts, fc.array(fc.nat(200)), (drawn, cuts) => {
      const bytes = Buffer.from(drawn.map(({ text, sequence }) => sequence + text).join(""));
      const borders = [0, ...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length];
      const pieces = borders.slice(1).map((border, n) => bytes.subarray(borders[n], border));
      expect(through(pieces)).toBe(drawn.map(({ text }) => text).join(""));
    }),
    { numRuns: 1_000 },
  );
});

test("nothing is held back for a colour that is none, nor for long", () => {
  const remover = createSequenceRemover();
  expect(remover.push(Buffer.from("no colour in it")).toString()).toBe("no colour in it");
  expect(remover.push(Buffer.from("\u001b]0;a title\nthat has no end")).toString()).toContain(
    "that has no end",
  );
  expect(remover.push(Buffer.from(`\u001b]0;${"x".repeat(2_000)}`)).length).toBeGreaterThan(2_000);
});

test("many that have no end cost no more than their length", () => {
  const remover = createSequenceRemover();
  const piece = Buffer.from("\u001b]0;".repeat(16_384));
  for (let n = 0; n < 50; n++) remover.push(piece);
}, 5_000);
