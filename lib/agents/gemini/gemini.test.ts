import { describe, expect, test } from "vitest";
import { readRecorded, turnOf } from "../recorded.test-support.ts";
import { gemini } from "./index.ts";

const read = (name: string) => readRecorded(gemini, "0.61.0", name);

describe("streams recorded from gemini 0.61.0", () => {
  test("a tool call and an answer, which comes in pieces", () => {
    const { summary, events, types } = read("success-tool");
    expect(types).toEqual([
      "session",
      "turn_started",
      "message",
      "message",
      "tool_call",
      "tool_result",
      "message",
      "usage",
      "turn_completed",
    ]);
    expect(events[4]).toMatchObject({
      tool: "shell",
      input: { command: expect.stringContaining("mkdir -p artifacts") },
    });
    expect(events[5]).toMatchObject({ tool: "shell", output: "report.md", failed: false });
    expect(summary).toMatchObject({
      completed: true,
      failure: null,
      sessionId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    expect(JSON.parse(summary.finalText)).toHaveProperty("report", "artifacts/report.md");
  });

  test("usage counts thoughts as output, as other vendors do", () => {
    expect(read("success-tool").summary.usage).toEqual({
      input_tokens: 2000,
      cached_input_tokens: 200,
      output_tokens: 100,
      reasoning_output_tokens: 20,
      cost_usd: null,
    });
  });

  test("a resumed turn tells the session it was given", () => {
    const { summary } = read("resume");
    expect(summary).toMatchObject({ completed: true, failure: null, sessionId: expect.any(String) });
    expect(JSON.parse(summary.finalText)).toEqual({ title: "Resumed", report: null });
  });

  test("reasoning is not told, the answer is", () => {
    const { types, summary } = read("reasoning");
    expect(types).not.toContain("reasoning");
    expect(JSON.parse(summary.finalText)).toHaveProperty("title", "Quarterly report");
  });

  test("a failed command is no failed turn", () => {
    const { events, summary } = read("tool-failure");
    expect(events.find((event) => event.type === "tool_result")).toMatchObject({
      output: "no such column",
      exitCode: null,
    });
    expect(summary).toMatchObject({ completed: true, failure: null });
    expect(JSON.parse(summary.finalText)).toEqual({ error: "The command failed." });
  });

  test("an answer that is no JSON is a completed turn all the same", () => {
    const { summary } = read("bad-json");
    expect(summary).toMatchObject({ completed: true, failure: null });
    expect(summary.finalText).toMatch(/^Here you go:\n/);
  });

  test.each([
    ["auth-401", "auth", "Incorrect API key provided. (status 401)"],
    ["no-credentials", "auth", expect.stringMatching(/^Please set an Auth method/)],
    ["model-400", "model", "No such model. (status 400)"],
    ["model-500", "model", "The server had an error. (status 500)"],
    ["empty-answer", "model", expect.stringMatching(/empty response/)],
    ["unknown-session", "session", "No previous sessions found for this project."],
  ])("%s fails as %s", (name, kind, message) => {
    const { summary } = read(name);
    expect(summary.completed).toBe(false);
    expect(summary.failure).toEqual({ kind, message });
  });

  test.each(["killed-sigterm", "endpoint-refused"])("%s, cut off, neither completes nor fails", (name) => {
    expect(read(name).summary).toMatchObject({ completed: false, failure: null });
  });
});

test.each(["", "not json", "{", '{"type":"from.the.future"}', "null", '{"type":"message"}', "[1]"])(
  "a line that means nothing gives no event: %s",
  (line) => {
    expect(gemini.read(turnOf()).line(line)).toEqual([]);
  },
);

test.each([
  // Google's own endpoint refuses a wrong key with a 400 and a key that may not be used with a 403.
  ["auth", "API key not valid. Please pass a valid API key.", 400],
  ["auth", "Your project has been denied access.", 403],
  ["model", "Resource has been exhausted (e.g. check quota).", 429],
])("a refusal is %s: %s", (kind, message, code) => {
  const error = {
    type: "unknown",
    message: `[API Error: {"error":{"code":${code},"message":"${message}"}}]`,
  };
  const [event] = gemini.read(turnOf()).line(JSON.stringify({ type: "result", status: "error", error }));
  expect(event).toEqual({ type: "failure", kind, message: `${message} (status ${code})` });
});

test.each([
  ["Invalid auth method selected.", "auth", "Invalid auth method selected."],
  [
    "\u001b[31mError in /w/.gemini/settings.json: Unexpected end of JSON input\nPlease fix it.\u001b[0m",
    "other",
    "Error in /w/.gemini/settings.json: Unexpected end of JSON input",
  ],
  ["An unexpected critical error occurred:Error: EACCES\n    at main", "other", "Error: EACCES"],
])("what is on stderr explains an end without a stream: %s", (stderr, kind, message) => {
  expect(gemini.explainStderr(`YOLO mode is enabled.\n${stderr}\n`)).toEqual({
    type: "failure",
    kind,
    message,
  });
});

test("noise on stderr explains nothing", () => {
  expect(gemini.explainStderr("Ripgrep is not available. Falling back to GrepTool.\n")).toBeNull();
});
