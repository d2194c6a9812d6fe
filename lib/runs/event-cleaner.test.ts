import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type AgentEvent, createTurnSummary } from "../agents/index.ts";
import { createCleaner } from "./cleaner.ts";
import { createEventCleaner } from "./event-cleaner.ts";

const key = "sk-proj-0123456789abcdefghijklmnop";

function through(events: readonly AgentEvent[], secrets = [key]): AgentEvent[] {
  const cleaner = createEventCleaner(createCleaner(secrets));
  return [...events.flatMap((event) => cleaner.push(event)), ...cleaner.end()];
}

function answerOf(events: readonly AgentEvent[]): string {
  const { summary, add } = createTurnSummary();
  for (const event of events) add(event);
  return summary.finalText;
}

const piece = (text: string, delta = true): AgentEvent => ({ type: "message", text, delta });
const used: AgentEvent = {
  type: "usage",
  scope: "step",
  usage: {
    input_tokens: 1,
    cached_input_tokens: 0,
    output_tokens: 1,
    reasoning_output_tokens: 0,
    cost_usd: null,
  },
};

test("a key that comes in the pieces of a message is not whole when they are joined, however it is cut", () => {
  const text = fc.array(fc.constantFrom(key, "sk-", "sk-proj-0123", "yes", "🙂", "é", " "), { maxLength: 8 });
  fc.assert(
    fc.property(text, fc.array(fc.nat(150)), fc.boolean(), (parts, cuts, first) => {
      const whole = parts.join("");
      const borders = [0, ...cuts.filter((cut) => cut < whole.length).sort((a, b) => a - b), whole.length];
      const pieces = borders.slice(1).map((border, n) => whole.slice(borders[n], border));
      const told = through(pieces.flatMap((each, n) => [piece(each, n > 0 || first), used]));
      expect(answerOf(told)).toBe(whole.replaceAll(key, "[redacted]"));
    }),
    { numRuns: 1_000 },
  );
});

test("a piece that begins no key is told at once, and the rest when the message is over", () => {
  const cleaner = createEventCleaner(createCleaner([key]));
  expect(cleaner.push(piece("The key", false))).toEqual([piece("The key", false)]);
  expect(cleaner.push(piece(" is sk-proj"))).toEqual([piece(" is ")]);
  const thought: AgentEvent = { type: "reasoning", text: "so it is" };
  expect(cleaner.push(thought)).toEqual([piece("sk-proj"), thought]);
  expect(cleaner.end()).toEqual([]);
});

test("the first piece is told as the first one, also when it was held back", () => {
  expect(through([piece("sk", false), piece("y")])).toEqual([piece("sky", false)]);
});

test("a whole message stays one", () => {
  const whole: AgentEvent = { type: "message", text: `${key} yes` };
  expect(through([whole])).toEqual([{ type: "message", text: "[redacted] yes" }]);
  expect(through([{ type: "message", text: "yes" }])).toEqual([{ type: "message", text: "yes" }]);
});

describe("whatever else is told has no key in it", () => {
  const events: AgentEvent[] = [
    { type: "reasoning", text: key },
    { type: "tool_call", callId: "1", tool: "shell", input: { env: [{ [key]: `a ${key}` }], n: 1 } },
    { type: "tool_result", callId: "1", tool: null, output: key, exitCode: 0, failed: false },
    { type: "retry", message: key, authentication: true },
    { type: "warning", message: key },
    { type: "failure", kind: "other", message: key },
    { type: "turn_completed", text: key, structured: { note: key, list: [key] } },
  ];
  test.each(events)("$type", (event) => {
    const told = JSON.stringify(through([event]));
    expect(told).toContain("[redacted]");
    expect(told).not.toContain("sk-proj");
  });
});

test("a key of digits is none in JSON's numbers either, and what holds no key is the same object", () => {
  const cleaner = createCleaner(["1234567890123456"]);
  expect(cleaner.value({ pin: 1234567890123456, n: 12 })).toEqual({ pin: "[redacted]", n: 12 });
  const clean = { n: 12 };
  expect(cleaner.value(clean)).toBe(clean);
});
