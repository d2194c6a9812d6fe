import { describe, expect, test } from "vitest";
import { readRecorded, turnOf } from "../recorded.test-support.ts";
import { claude } from "./index.ts";

const read = (name: string) => readRecorded(claude, "2.1.197", name);

describe("streams recorded from claude 2.1.197", () => {
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
    expect(events[4]).toMatchObject({ tool: "shell", output: "report.md", exitCode: 0, failed: false });
    expect(summary).toMatchObject({
      completed: true,
      failure: null,
      sessionId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      // Two calls of 1000 tokens, 100 of them from the cache.
      usage: { input_tokens: 2000, cached_input_tokens: 200, output_tokens: 100 },
    });
    expect(summary.usage?.cost_usd).toBeGreaterThan(0);
    expect(JSON.parse(summary.finalText)).toHaveProperty("report", "artifacts/report.md");
  });

  test("a resumed turn goes on with its session, and counts its own tokens only", () => {
    const { summary, events } = read("resume");
    expect(summary).toMatchObject({ completed: true, failure: null, sessionId: expect.any(String) });
    expect(events.find((event) => event.type === "usage")).toMatchObject({
      scope: "step",
      usage: { input_tokens: 1000 },
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
      exitCode: 3,
      failed: true,
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
      exitCode: 0,
      structured: { title: "Quarterly report", report: "artifacts/report.md" },
    });
  });

  test("plain text instead of structured output is an answer all the same", () => {
    const { summary } = read("schema-plain-text");
    expect(summary).toMatchObject({ completed: true, failure: null, structured: undefined });
    expect(summary.finalText).toBe("There is no report to be had.");
  });

  test("data that never fits its schema is an answer to be mended, though claude exits with 1", () => {
    const { summary } = read("schema-wrong-data");
    expect(summary).toMatchObject({
      completed: true,
      failure: null,
      exitCode: 1,
      structured: { headline: "Wrong" },
    });
  });

  test.each([
    ["auth-401", "auth", /401/],
    ["auth-lost", "auth", /401/],
    ["no-credentials", "auth", /Not logged in/],
    ["model-500", "model", /500/],
    ["model-400", "model", /400/],
    ["endpoint-refused", "model", /Unable to connect/],
    ["unknown-session", "session", /No conversation found/],
    ["unknown-command", "other", /Unknown command: \/no-such-skill/],
  ])("%s fails as %s", (name, kind, message) => {
    const { summary } = read(name);
    expect(summary.completed).toBe(false);
    expect(summary.failure).toMatchObject({ kind, message: expect.stringMatching(message) });
  });

  test("a refused sign-in is seen at the first retry", () => {
    const retries = (name: string) => read(name).events.filter((event) => event.type === "retry");
    expect(retries("auth-401")[0]).toMatchObject({
      authentication: true,
      message: expect.stringContaining("401"),
    });
    expect(retries("model-500")).toHaveLength(4);
    expect(retries("model-500")[0]).toMatchObject({ authentication: false });
  });

  test("tokens used before the sign-in was lost are counted", () => {
    expect(read("auth-lost").summary.usage).toMatchObject({ input_tokens: 1000, output_tokens: 50 });
  });

  test("killed in a tool, it ends without completing", () => {
    const { summary, types } = read("killed-sigterm");
    expect(types).toContain("tool_call");
    expect(summary).toMatchObject({ completed: false, sessionId: expect.any(String) });
  });
});

test.each([
  "",
  "not json",
  "{",
  '{"type":"from.the.future"}',
  "null",
  "[1]",
  '{"type":"assistant"}',
  '{"type":"assistant","message":{"content":[{"type":"from.the.future"},7]}}',
  '{"type":"system","subtype":"status"}',
])("a line that means nothing gives no event: %s", (line) => {
  const reader = claude.read(turnOf());
  expect(reader.line(line)).toEqual([]);
  expect(reader.end?.()).toEqual([]);
});

test("what a sub-agent says is not the agent's own message", () => {
  const reader = claude.read(turnOf());
  const line = (parent: string | null) =>
    JSON.stringify({
      type: "assistant",
      parent_tool_use_id: parent,
      message: { content: [{ type: "text", text: "hello" }] },
    });
  expect(reader.line(line("toolu_1"))).toEqual([]);
  expect(reader.line(line(null))).toEqual([{ type: "message", text: "hello" }]);
});

test.each([
  ["No conversation found with session ID: 1-2", "session"],
  ["--dangerously-skip-permissions cannot be used with root/sudo privileges for security reasons", "other"],
  ["error: unknown option '--setting-sources='", "other"],
])("stderr tells why nothing was said: %s", (stderr, kind) => {
  expect(claude.explainStderr(`warning: x\n${stderr}\n`)).toMatchObject({ type: "failure", kind });
});

describe("the command", () => {
  const turn = turnOf();
  const settingsOf = (overrides: Parameters<typeof turnOf>[0] = {}) =>
    JSON.parse(String(claude.command(turnOf(overrides)).files["/t/claude.settings.json"]));

  test("reads the prompt from stdin, and resumes by the session's id", () => {
    const { args } = claude.command({ ...turn, sessionId: "id-1", model: "opus", effort: "high" });
    expect(args.slice(0, 4)).toEqual(["-p", "--output-format", "stream-json", "--verbose"]);
    expect(args).toContain("--dangerously-skip-permissions");
    expect(args.slice(args.indexOf("--model"))).toEqual([
      "--model",
      "opus",
      "--effort",
      "high",
      "--resume",
      "id-1",
    ]);
  });

  test("takes the workspace's skill and nothing of the user or of the folders above", () => {
    const { args } = claude.command(turn);
    expect(args).toContain("--setting-sources=");
    expect(args.slice(args.indexOf("--plugin-dir"))[1]).toBe("/w/.claude");
    expect(args).toContain("--strict-mcp-config");
  });

  test("gives a version no option that its help does not name", () => {
    const flags = new Set(["--settings", "--setting-sources", "--model"]);
    const { args } = claude.command({
      ...turn,
      effort: "high",
      outputSchema: { type: "object" },
      cli: { version: "1.0.0", flags },
    });
    expect(args).toContain("--setting-sources=project");
    expect(args.join(" ")).not.toMatch(/--plugin-dir|--effort|--json-schema|--strict-mcp-config/);
  });

  test("says that it is in a sandbox to a claude that is root only", () => {
    expect(claude.command({ ...turn, asRoot: true }).env).toHaveProperty("IS_SANDBOX", "1");
    expect(claude.command(turn).env).not.toHaveProperty("IS_SANDBOX");
  });

  test("a run may ask for more tries than the server does", () => {
    expect(claude.command(turn).env).toHaveProperty("CLAUDE_CODE_MAX_RETRIES", "4");
    const environment = { CLAUDE_CODE_MAX_RETRIES: "9" };
    expect(claude.command({ ...turn, environment }).env).not.toHaveProperty("CLAUDE_CODE_MAX_RETRIES");
  });

  test("keeps its own keys from the tools it runs", () => {
    const { env, files } = claude.command(turn);
    expect(files[String(env.CLAUDE_ENV_FILE)]).toMatch(/^unset ANTHROPIC_API_KEY ANTHROPIC_AUTH_TOKEN /);
  });

  test("passes a schema on, but not one that no argument can hold", () => {
    const { args } = claude.command({ ...turn, outputSchema: { type: "object" } });
    expect(args.slice(args.indexOf("--json-schema"))[1]).toBe('{"type":"object"}');
    const outputSchema = { description: "x".repeat(130_000) };
    expect(claude.command({ ...turn, outputSchema }).args).not.toContain("--json-schema");
  });

  test("layers the skill's settings below what is enforced", () => {
    const skillConfig = JSON.stringify({
      alwaysThinkingEnabled: true,
      env: { MAX_THINKING_TOKENS: "1000" },
      permissions: { deny: ["WebFetch"], ask: ["Bash"] },
    });
    expect(settingsOf({ skillConfig })).toEqual({
      alwaysThinkingEnabled: true,
      env: { MAX_THINKING_TOKENS: "1000" },
      permissions: {
        defaultMode: "bypassPermissions",
        deny: expect.arrayContaining(["WebFetch", "AskUserQuestion"]),
        ask: [],
      },
    });
  });

  test.each([
    ["no JSON", "{"],
    ["an MCP server", '{"mcpServers":{}}'],
    ["a hook", '{"hooks":{}}'],
    ["a program that hands out keys", '{"apiKeyHelper":"./key.sh"}'],
    ["an endpoint, which would receive the keys", '{"env":{"ANTHROPIC_BASE_URL":"http://elsewhere"}}'],
    ["another way to approve", '{"permissions":{"defaultMode":"default"}}'],
  ])("refuses skill settings with %s", (_what, skillConfig) => {
    expect(() => settingsOf({ skillConfig })).toThrow(expect.objectContaining({ code: "SKILL_INVALID" }));
  });

  test("knows the providers it has a switch for", () => {
    expect(claude.command({ ...turn, provider: "bedrock" }).env).toHaveProperty(
      "CLAUDE_CODE_USE_BEDROCK",
      "1",
    );
    expect(claude.command({ ...turn, provider: "anthropic" }).env).toEqual(claude.command(turn).env);
    expect(() => claude.command({ ...turn, provider: "openai" })).toThrow(
      expect.objectContaining({ code: "MODEL_INVALID" }),
    );
  });
});
