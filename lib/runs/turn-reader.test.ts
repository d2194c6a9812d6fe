import { describe, expect, test } from "vitest";
import { type Agent, type AgentEvent, agents } from "../agents/index.ts";
import { turnOf } from "../agents/recorded.test-support.ts";
import { createCleaner } from "./cleaner.ts";
import { createTurnReader } from "./turn-reader.ts";

const [codex] = agents;
if (codex === undefined) throw new Error("there is no agent");

/** An agent whose lines are events as JSON, and whose stderr is the reason of a failure. */
const plain: Agent = {
  ...codex,
  read: () => ({
    line(text) {
      if (text === "throw") throw new RangeError("Maximum call stack size exceeded");
      const event: AgentEvent = JSON.parse(text);
      return [event];
    },
  }),
  explainStderr: (stderr) => (stderr === "" ? null : { type: "failure", kind: "auth", message: stderr }),
};

function read(agent: Agent, lines: (AgentEvent | string)[], stderr = "") {
  const told: AgentEvent[] = [];
  const reader = createTurnReader(agent, turnOf(), createCleaner([]), (event) => told.push(event));
  for (const line of lines) {
    reader.write(Buffer.from(`${typeof line === "string" ? line : JSON.stringify(line)}\n`));
  }
  reader.end(stderr);
  return { summary: reader.summary, told };
}

const answer: AgentEvent[] = [{ type: "message", text: "{}" }, { type: "turn_completed" }];

test("a reader that throws fails the turn, and goes on reading", () => {
  const { summary } = read(plain, ["throw", ...answer]);
  expect(summary).toMatchObject({
    finalText: "{}",
    failure: { kind: "other", message: expect.stringContaining("call stack") },
  });
});

test("a tool's result is told with the name its call had", () => {
  const call: AgentEvent = { type: "tool_call", callId: "1", tool: "shell", input: {} };
  const result: AgentEvent = {
    type: "tool_result",
    callId: "1",
    tool: null,
    output: "",
    exitCode: 0,
    failed: false,
  };
  expect(read(plain, [call, result]).told).toMatchObject([{ tool: "shell" }, { tool: "shell" }]);
});

describe("stderr is asked", () => {
  test("when the stream told neither an end nor a failure", () => {
    expect(read(plain, [], "401").summary.failure).toMatchObject({ kind: "auth" });
    expect(read(plain, answer, "401").summary.failure).toBeNull();
  });

  test("also about a turn that seems complete, where the stream tells no errors", () => {
    const silent: Agent = { ...plain, stderrRules: true };
    expect(read(silent, answer, "401").summary.failure).toMatchObject({ kind: "auth" });
    expect(read(silent, answer, "").summary.failure).toBeNull();
  });
});

test("an answer past its limit fails the turn, and costs no more time with every word", () => {
  const piece: AgentEvent = { type: "message", text: "x".repeat(512 * 1024), delta: true };
  const words = Array.from(
    { length: 5_000 },
    (): AgentEvent => ({ type: "message", text: "y", delta: true }),
  );
  const started = performance.now();
  const { summary } = read(plain, [...Array.from({ length: 36 }, () => piece), ...words]);
  expect(summary.finalText).toHaveLength(16 * 1024 * 1024);
  expect(summary.failure?.message).toContain("longer than");
  // Cutting it anew with every word took minutes.
  expect(performance.now() - started).toBeLessThan(15_000);
});
