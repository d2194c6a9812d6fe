import { describe, expect, test } from "vitest";
import { readRecorded, turnOf } from "../recorded.test-support.ts";
import { opencode } from "./index.ts";

const read = (name: string) => readRecorded(opencode, "1.18.33", name);

describe("streams recorded from opencode 1.18.33", () => {
  test("a tool call and an answer", () => {
    const { summary, events, types } = read("success-tool");
    expect(types).toEqual([
      "session",
      "turn_started",
      "tool_call",
      "message",
      "tool_result",
      "usage",
      "message",
      "usage",
      "turn_completed",
    ]);
    expect(events[2]).toMatchObject({ tool: "shell", input: { command: expect.stringMatching(/^mkdir/) } });
    expect(events[4]).toMatchObject({ tool: "shell", exitCode: 0, failed: false, output: "report.md\n" });
    expect(summary).toMatchObject({
      completed: true,
      failure: null,
      sessionId: expect.stringMatching(/^ses_\w+$/),
    });
    expect(JSON.parse(summary.finalText)).toHaveProperty("report", "artifacts/report.md");
  });

  test("usage is added up over the steps, with cached and reasoning tokens among the others", () => {
    expect(read("success-tool").summary.usage).toEqual({
      input_tokens: 2000,
      cached_input_tokens: 200,
      output_tokens: 100,
      reasoning_output_tokens: 20,
      cost_usd: 0,
    });
  });

  test.each(["resume", "bad-json"])("%s completes, with its session", (name) => {
    expect(read(name).summary).toMatchObject({
      completed: true,
      failure: null,
      sessionId: expect.any(String),
    });
  });

  test("reasoning comes before the answer", () => {
    expect(read("reasoning").types).toEqual([
      "session",
      "turn_started",
      "reasoning",
      "message",
      "usage",
      "turn_completed",
    ]);
  });

  test("a failed tool is no failed turn", () => {
    const { events, summary } = read("tool-failure");
    expect(events.find((event) => event.type === "tool_result")).toMatchObject({ exitCode: 3, failed: true });
    expect(summary).toMatchObject({ completed: true, failure: null });
  });

  test.each([
    ["auth-401", "auth", /Incorrect API key/],
    ["model-400", "model", /^No such model/],
    ["model-500", "model", /^The server had an error/],
    ["endpoint-refused", "model", /^Cannot connect to API/],
    ["unknown-model", "model", /^Model not found: scripted\/no-such-model\. .*key or a login/],
    ["no-credentials", "model", /^Model not found: scripted\/alpha\. .*key or a login/],
    ["unknown-session", "session", /Session not found/],
  ])("%s fails as %s", (name, kind, message) => {
    const { summary } = read(name);
    expect(summary.completed).toBe(false);
    expect(summary.failure).toMatchObject({ kind, message: expect.stringMatching(message) });
  });

  test("the retries of a broken endpoint are told one by one, and come to an end", () => {
    const { types } = read("model-500");
    expect(types).toEqual(["session", "turn_started", "retry", "retry", "retry", "failure"]);
    expect(read("endpoint-refused").events).toContainEqual(
      expect.objectContaining({ type: "retry", authentication: false }),
    );
  });

  test("a tool is told when it starts, so that a turn that was killed shows what it was at", () => {
    const { events, summary } = read("killed-sigterm");
    expect(events).toContainEqual(
      expect.objectContaining({
        type: "tool_call",
        tool: "shell",
        input: { command: "echo started; sleep 60" },
      }),
    );
    expect(summary).toMatchObject({ completed: false, failure: null });
  });
});

describe("one line", () => {
  const events = (...lines: object[]) => {
    const reader = opencode.read(turnOf());
    return lines.flatMap((line) => reader.line(JSON.stringify({ sessionID: "ses_1", ...line }))).slice(2);
  };
  const tool = {
    callID: "c",
    tool: "edit",
    state: { status: "error", input: { a: 1 }, error: "no such file" },
  };

  test.each([
    "",
    "not json",
    "{",
    '{"type":"from.the.future","sessionID":"s"}',
    "null",
    '{"type":"text"}',
    "[1]",
  ])("that means nothing gives no event: %s", (line) => {
    expect(opencode.read(turnOf()).line(line)).toEqual([]);
  });

  test("without the plugin's line a tool is told when it has ended", () => {
    expect(events({ type: "tool_use", part: tool })).toEqual([
      { type: "tool_call", callId: "c", tool: "edit", input: { a: 1 } },
      {
        type: "tool_result",
        callId: "c",
        tool: "edit",
        output: "no such file",
        exitCode: null,
        failed: true,
      },
    ]);
  });

  test("an answer that was cut short is no answer", () => {
    const tokens = { input: 1, output: 1, reasoning: 0, cache: { read: 0, write: 0 } };
    expect(events({ type: "step_finish", part: { reason: "length", tokens, cost: 0.25 } })).toMatchObject([
      { type: "usage", usage: { cost_usd: 0.25 } },
      { type: "failure", kind: "model" },
    ]);
  });

  const stepFinish = {
    type: "step_finish",
    part: {
      reason: "error",
      tokens: { input: 1, output: 1, reasoning: 0, cache: { read: 0, write: 0 } },
      cost: 0,
    },
  };

  test("an answer that ended with an error is no answer", () => {
    expect(events(stepFinish)).toMatchObject([{ type: "usage" }, { type: "failure", kind: "model" }]);
  });

  test("what the error was stands above that there was one", () => {
    const error = { name: "ProviderAuthError", data: { message: "no key" } };
    expect(events({ type: "error", error }, stepFinish)).toMatchObject([
      { type: "failure", kind: "auth", message: "no key" },
      { type: "usage" },
    ]);
  });

  test.each([
    ["Request failed with status code 401", true],
    ["Read 401 files, then the line broke", false],
  ])("a retry is one of authentication only when its words say so: %s", (message, authentication) => {
    expect(events({ type: "retry", message })).toMatchObject([{ type: "retry", authentication }]);
  });

  test("being aborted after it gave up is no second reason", () => {
    const aborted = { name: "MessageAbortedError", data: { message: "The operation was aborted." } };
    expect(events({ type: "gave_up", message: "Overloaded" }, { type: "error", error: aborted })).toEqual([
      { type: "failure", kind: "model", message: "Overloaded" },
    ]);
  });
});

describe("the command", () => {
  const turn = turnOf({ model: "m", provider: "hub" });
  const config = (overrides = {}) =>
    JSON.parse(opencode.command({ ...turn, ...overrides }).env.OPENCODE_CONFIG_CONTENT ?? "");

  test("reads the prompt from stdin: there is no message among the arguments", () => {
    expect(opencode.command(turn).args).toEqual([
      ...["run", "--format", "json", "--print-logs", "--log-level", "ERROR", "--thinking", "--auto"],
      ...["--title", "s", "--model", "hub/m"],
    ]);
  });

  test("resumes by the session's id, with the effort as the model's variant", () => {
    const { args } = opencode.command({ ...turn, sessionId: "ses_1", effort: "high" });
    expect(args.slice(-4)).toEqual(["--variant", "high", "--session", "ses_1"]);
  });

  test("leaves out what an older version does not take", () => {
    const flags = new Set(["--format", "--model", "--session"]);
    const { args } = opencode.command({ ...turn, effort: "high", cli: { version: "1.0.0", flags } });
    expect(args).toEqual([
      ...["run", "--format", "json", "--print-logs", "--log-level", "ERROR", "--model", "hub/m"],
    ]);
  });

  test("refuses a model without its provider, and says how to name one", () => {
    expect(() => opencode.command({ ...turn, provider: null })).toThrow(
      expect.objectContaining({ code: "MODEL_INVALID", message: expect.stringContaining("provider/model") }),
    );
  });

  test("allows everything but questions, and looks for skills in the workspace alone", () => {
    expect(config()).toMatchObject({
      permission: { "*": "allow", question: "deny" },
      share: "disabled",
      autoupdate: false,
      snapshot: false,
      lsp: false,
      skills: { paths: ["/w/.opencode/skills"] },
    });
    expect(opencode.command(turn).env).toMatchObject({
      OPENCODE_DISABLE_PROJECT_CONFIG: "1",
      OPENCODE_DISABLE_EXTERNAL_SKILLS: "1",
    });
  });

  test("layers the skill's config below what is enforced", () => {
    const skillConfig = JSON.stringify({
      permission: { webfetch: "deny", question: "allow" },
      agent: { build: { temperature: 0 } },
    });
    const layered = config({ skillConfig });
    expect(layered).toMatchObject({ permission: { question: "deny" }, agent: { build: { temperature: 0 } } });
    // The order counts: the last rule that matches is the one opencode follows.
    expect(Object.keys(layered.permission).slice(0, 2)).toEqual(["*", "webfetch"]);
  });

  test.each([
    ["no JSON object", "[]"],
    ["a provider, which would receive the keys", '{"provider":{"x":{}}}'],
    ["an MCP server", '{"mcp":{"x":{}}}'],
    ["a plugin", '{"plugin":["x"]}'],
    ["a variable of the environment", '{"agent":{"build":{"prompt":"{env:OPENAI_API_KEY}"}}}'],
    ["a file", '{"instructions":["{file:~/.netrc}"]}'],
  ])("refuses a skill config with %s", (_what, skillConfig) => {
    expect(() => config({ skillConfig })).toThrow(expect.objectContaining({ code: "SKILL_INVALID" }));
  });
});

test("models are read from what `opencode models --verbose` prints", () => {
  const facts = { id: "m-1", providerID: "hub", name: "M One", status: "deprecated", variants: { low: {} } };
  const printed = `hub/m-1\n${JSON.stringify(facts, null, 2)}\nhub/m-2\n{\n  "broken"\n}\n`;
  expect(opencode.modelProbe?.read(printed)).toEqual([
    { id: "hub/m-1", display_name: "M One", deprecated: true, notes: null, supported_effort: ["low"] },
  ]);
});
