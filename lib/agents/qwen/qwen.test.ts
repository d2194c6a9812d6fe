import { describe, expect, test } from "vitest";
import { readRecorded, turnOf } from "../recorded.test-support.ts";
import { qwen } from "./index.ts";

const read = (name: string) => readRecorded(qwen, "0.15.10", name);

describe("streams recorded from qwen 0.15.10", () => {
  test("a tool call and an answer", () => {
    const { summary, events, types } = read("success-tool");
    expect(types).toEqual([
      "session",
      "turn_started",
      "message",
      "tool_call",
      "tool_result",
      "message",
      "usage",
      "turn_completed",
    ]);
    expect(events[3]).toMatchObject({
      tool: "shell",
      input: { command: expect.stringContaining("artifacts/report.md") },
    });
    expect(events[4]).toMatchObject({ tool: "shell", output: "report.md", failed: false });
    expect(summary).toMatchObject({
      completed: true,
      failure: null,
      sessionId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      // Two calls of 1000 tokens, 100 of them from the cache: no call on qwen's own behalf.
      usage: { input_tokens: 2000, cached_input_tokens: 200, output_tokens: 100, cost_usd: null },
    });
    expect(JSON.parse(summary.finalText)).toHaveProperty("report", "artifacts/report.md");
  });

  test("a resumed turn goes on with its session, and counts the tokens of all its turns", () => {
    const { summary, events } = read("resume");
    expect(summary).toMatchObject({ completed: true, failure: null, sessionId: expect.any(String) });
    expect(events.find((event) => event.type === "usage")).toMatchObject({
      scope: "total",
      usage: { input_tokens: 2000 },
    });
  });

  test("reasoning comes before the answer", () => {
    const { types, events } = read("reasoning");
    expect(types).toEqual(["session", "turn_started", "reasoning", "message", "usage", "turn_completed"]);
    expect(events[2]).toMatchObject({ text: expect.stringContaining("Planning the report") });
  });

  test("a failed tool is no failed turn", () => {
    const { events, summary } = read("tool-failure");
    expect(events.find((event) => event.type === "tool_result")).toMatchObject({
      tool: "shell",
      output: expect.stringContaining("no such column"),
    });
    expect(summary).toMatchObject({ completed: true, failure: null });
  });

  test("an answer that is no JSON completes the turn", () => {
    expect(read("bad-json").summary).toMatchObject({
      completed: true,
      failure: null,
      finalText: expect.stringContaining("Here you go"),
    });
  });

  test("native structured output is handed over as an object", () => {
    expect(read("output-schema").summary).toMatchObject({
      completed: true,
      structured: { title: "Quarterly report", report: "artifacts/report.md" },
    });
  });

  test("plain text instead of structured output is an answer to be mended, though qwen exits with 1", () => {
    expect(read("schema-plain-text").summary).toMatchObject({
      completed: true,
      failure: null,
      exitCode: 1,
      finalText: "There is no report to be had.",
    });
  });

  test.each([
    ["auth-401", "auth", /^401 Incorrect API key/],
    ["auth-lost", "auth", /^401 Incorrect API key/],
    ["no-credentials", "auth", /No auth type is selected/],
    ["model-500", "model", /^500/],
    ["model-400", "model", /^400/],
    ["endpoint-refused", "model", /Connection error/],
    ["unknown-session", "session", /No saved session found/],
  ])("%s fails as %s, whatever its result line says", (name, kind, message) => {
    const { summary } = read(name);
    expect(summary.completed).toBe(false);
    expect(summary.failure).toMatchObject({ kind, message: expect.stringMatching(message) });
  });

  test("an answer that reads like an error is an answer", () => {
    expect(read("error-lookalike").summary).toMatchObject({
      completed: true,
      failure: null,
      finalText: "[API Error: 401 in the log of Monday]",
    });
  });

  test("killed in a tool, it ends without completing", () => {
    const { summary, types } = read("killed-sigterm");
    expect(types).toContain("tool_call");
    expect(summary).toMatchObject({ completed: false, sessionId: expect.any(String) });
  });
});

/** What is told of a turn whose one message is `text`, with no tokens counted and a result line that says success. */
function verdictOf(text: string, result: object = { is_error: false, result: text }) {
  const reader = qwen.read(turnOf());
  reader.line(JSON.stringify({ type: "assistant", message: { content: [{ type: "text", text }] } }));
  reader.line(JSON.stringify({ type: "result", ...result }));
  return reader.end?.().at(-1);
}

test.each([
  ["an error behind half an answer", 'I will {"a":[API Error: terminated]', "model"],
  [
    "advice behind a rate limit",
    "[API Error: 429 slow down]\nPossible quota limitations in place or so.",
    "model",
  ],
  [
    "a sign-in that is no longer offered",
    "Qwen OAuth free tier has been discontinued as of 2026-04-15.",
    "auth",
  ],
])("%s is a failure", (_what, text, kind) => {
  expect(verdictOf(text)).toMatchObject({ type: "failure", kind });
});

test("an error is an error under structured output too, where qwen only misses the tool call", () => {
  const error = { message: "Model produced plain text instead of calling the structured_output tool." };
  expect(verdictOf("[API Error: 401 bad key]", { is_error: true, error })).toMatchObject({ kind: "auth" });
});

test("an endpoint that counts no tokens may speak of errors within an answer", () => {
  const text = '{"log":"[API Error: 401]"}';
  expect(verdictOf(text)).toMatchObject({ type: "turn_completed", text });
});

test("a failed sub-agent is no failed turn", () => {
  const reader = qwen.read(turnOf());
  reader.line('{"type":"result","is_error":true,"error":{"message":"Task execution failed"}}');
  reader.line('{"type":"result","is_error":false,"result":"done"}');
  expect(reader.end?.()).toEqual([{ type: "turn_completed", text: "done", structured: undefined }]);
});

test.each([
  ["Command exited with code: 7", { exitCode: 7, failed: true }],
  [
    "Command: true\nDirectory: (root)\nOutput: (empty)\nError: (none)\nExit Code: 0\nSignal: 0",
    { exitCode: 0, failed: false },
  ],
  ["it said: Command exited with code: 7", { exitCode: null, failed: false }],
])("a command that printed nothing is told by its exit code: %s", (content, expected) => {
  const reader = qwen.read(turnOf());
  const block = (item: object, type: string) => JSON.stringify({ type, message: { content: [item] } });
  reader.line(
    block({ type: "tool_use", id: "1", name: "run_shell_command", input: { command: "x" } }, "assistant"),
  );
  const [result] = reader.line(block({ type: "tool_result", tool_use_id: "1", content }, "user"));
  expect(result).toMatchObject(expected);
});

test.each(["", "not json", "{", '{"type":"from.the.future"}', "null", "[1]", '{"type":"user"}'])(
  "a line that means nothing gives no event: %s",
  (line) => {
    const reader = qwen.read(turnOf());
    expect(reader.line(line)).toEqual([]);
    expect(reader.end?.()).toEqual([]);
  },
);

test("stderr tells of a provider qwen does not know", () => {
  const stderr = 'Invalid values:\n  Argument: auth-type, Given: "foo", Choices: "openai", "anthropic"\n';
  expect(qwen.explainStderr(stderr)).toMatchObject({
    kind: "other",
    message: expect.stringContaining("foo"),
  });
});

describe("the command", () => {
  const turn = turnOf();
  const settingsOf = (overrides: Parameters<typeof turnOf>[0] = {}) =>
    JSON.parse(String(qwen.command(turnOf(overrides)).files["/t/qwen.settings.json"]));

  test("reads the prompt from stdin, and resumes by the session's id", () => {
    const { args } = qwen.command({ ...turn, sessionId: "id-1", model: "m" });
    expect(args.slice(0, 4)).toEqual(["-o", "stream-json", "--approval-mode", "yolo"]);
    expect(args.slice(-4)).toEqual(["--model", "m", "--resume", "id-1"]);
  });

  test("signs in with an OpenAI key where there is one, with the user's own login otherwise", () => {
    const authType = (overrides: Parameters<typeof turnOf>[0]) => {
      const { args } = qwen.command(turnOf(overrides));
      return args.includes("--auth-type") ? args[args.indexOf("--auth-type") + 1] : null;
    };
    expect(authType({ environment: { OPENAI_API_KEY: "k" } })).toBe("openai");
    expect(authType({})).toBeNull();
    expect(authType({ environment: { OPENAI_API_KEY: "k" }, provider: "anthropic" })).toBe("anthropic");
  });

  test("gives a version no option that its help does not name", () => {
    const flags = new Set(["--yolo", "--model"]);
    const { args } = qwen.command({ ...turn, outputSchema: {}, cli: { version: "0.1.0", flags } });
    expect(args).toEqual(["-o", "stream-json", "--yolo"]);
  });

  test("keeps servers, extensions, instructions and .env files of others away", () => {
    const { args, files } = qwen.command(turn);
    expect(args.slice(args.indexOf("--allowed-mcp-server-names"))[1]).toBe("");
    expect(args.slice(args.indexOf("--extensions"))[1]).toBe("none");
    expect(files["/w/.qwen/.env"]).toMatch(/^#.*\n$/);
    expect(settingsOf()).toMatchObject({
      context: { fileName: ".no-instructions" },
      memory: { enableManagedAutoMemory: false },
      telemetry: { enabled: false },
    });
  });

  test("keeps its own keys from the tools it runs", () => {
    const { env, files } = qwen.command(turn);
    expect(files[String(env.BASH_ENV)]).toMatch(/^unset OPENAI_API_KEY /);
  });

  test("writes the schema to a file and names it", () => {
    const command = qwen.command({ ...turn, outputSchema: { type: "object" } });
    expect(command.args).toContain("@/t/output.schema.json");
    expect(command.files["/t/output.schema.json"]).toBe('{"type":"object"}');
  });

  test("layers its defaults, the skill's settings and what is enforced", () => {
    const skillConfig = JSON.stringify({
      model: { generationConfig: { maxRetries: 2 }, sessionTokenLimit: 9 },
      permissions: { deny: ["web_fetch"] },
      tools: { approvalMode: "plan" },
    });
    expect(settingsOf()).toMatchObject({ model: { generationConfig: { maxRetries: 0 } } });
    expect(settingsOf({ skillConfig })).toMatchObject({
      model: { generationConfig: { maxRetries: 2 }, sessionTokenLimit: 9 },
      permissions: { deny: expect.arrayContaining(["web_fetch", "ask_user_question"]) },
      tools: { approvalMode: "yolo" },
    });
  });

  test.each([
    ["no JSON", "{"],
    ["an MCP server", '{"mcpServers":{}}'],
    ["a hook", '{"hooks":{}}'],
    ["an endpoint, which would receive the keys", '{"env":{"OPENAI_BASE_URL":"http://elsewhere"}}'],
    ["a provider", '{"modelProviders":{}}'],
    ["a sign-in", '{"security":{"auth":{"baseUrl":"http://elsewhere"}}}'],
  ])("refuses skill settings with %s", (_what, skillConfig) => {
    expect(() => settingsOf({ skillConfig })).toThrow(expect.objectContaining({ code: "SKILL_INVALID" }));
  });
});
