import { parse } from "smol-toml";
import { describe, expect, test } from "vitest";
import { readRecorded, turnOf } from "../recorded.test-support.ts";
import { codex } from "./index.ts";

const read = (name: string) => readRecorded(codex, "0.169.0", name);

describe("streams recorded from codex 0.169.0", () => {
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
    expect(events[4]).toMatchObject({ type: "tool_result", tool: "shell", exitCode: 0, failed: false });
    expect(summary).toMatchObject({
      completed: true,
      failure: null,
      sessionId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    expect(JSON.parse(summary.finalText)).toHaveProperty("report", "artifacts/report.md");
    expect(summary.usage?.input_tokens).toBeGreaterThan(0);
  });

  test("a resumed turn tells its session and completes", () => {
    expect(read("resume").summary).toMatchObject({
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

  test("an unknown model is a warning", () => {
    const { types, summary } = read("unknown-model-warning");
    expect(types).toContain("warning");
    expect(summary).toMatchObject({ completed: true, failure: null });
  });

  test.each([
    ["auth-401", "auth", /401/],
    ["missing-key", "auth", /OPENAI_API_KEY/],
    ["model-500", "model", /high demand/],
    ["unknown-session", "session", /no rollout found/],
  ])("%s fails as %s", (name, kind, message) => {
    const { summary } = read(name);
    expect(summary.completed).toBe(false);
    expect(summary.failure).toMatchObject({ kind, message: expect.stringMatching(message) });
  });

  test("a refused sign-in is seen at the first retry, long before codex gives up", () => {
    expect(read("auth-401").events[2]).toMatchObject({ type: "retry", authentication: true });
    expect(read("model-500").events[2]).toMatchObject({ type: "retry", authentication: false });
  });

  test.each(["killed-sigterm", "no-credentials"])("%s ends without completing", (name) => {
    expect(read(name).summary.completed).toBe(false);
  });
});

test.each(["", "not json", "{", '{"type":"from.the.future"}', "null", '{"type":"item.completed"}', "[1]"])(
  "a line that means nothing gives no event: %s",
  (line) => {
    expect(codex.read(turnOf()).line(line)).toEqual([]);
  },
);

describe("the command", () => {
  const turn = turnOf();
  /** The -c settings, read as codex reads them: values are TOML. */
  const settings = (args: string[]) => {
    const pairs = args.flatMap((arg, index) => (args[index - 1] === "-c" ? [arg] : []));
    return Object.assign({}, ...pairs.map((pair) => parse(pair)));
  };

  test("reads the prompt from stdin and never puts it on argv", () => {
    expect(codex.command(turn).args.at(-1)).toBe("-");
  });

  test("starts with exec, and resumes by the session's id behind all options", () => {
    expect(codex.command(turn).args.slice(0, 3)).toEqual(["exec", "--skip-git-repo-check", "--json"]);
    const resumed = codex.command({ ...turn, sessionId: "0199-x" }).args;
    expect(resumed.slice(-3)).toEqual(["resume", "0199-x", "-"]);
  });

  test("spells the sandbox intent", () => {
    expect(settings(codex.command(turn).args)).toMatchObject({
      sandbox_mode: "workspace-write",
      approval_policy: "never",
    });
    expect(settings(codex.command({ ...turn, sandbox: "unrestricted" }).args)).toMatchObject({
      sandbox_mode: "danger-full-access",
    });
  });

  test("takes the key and the endpoint that people set for OpenAI", () => {
    const environment = {
      OPENAI_API_KEY: "k",
      OPENAI_BASE_URL: "http://127.0.0.1:1/v1",
      UV_CACHE_DIR: "/cache/uv",
    };
    const command = codex.command({ ...turn, environment });
    expect(command.env).toEqual({ CODEX_API_KEY: "k" });
    expect(command.args).toContain('openai_base_url="http://127.0.0.1:1/v1"');
    expect(command.args.find((arg) => arg.startsWith("sandbox_workspace_write.writable_roots"))).toContain(
      "/cache/uv",
    );
    expect(codex.command({ ...turn, environment: { ...environment, CODEX_API_KEY: "own" } }).env).toEqual({});
  });

  test("keeps its own keys from the tools it runs", () => {
    const policy = codex
      .command(turn)
      .args.find((arg) => arg.startsWith("shell_environment_policy.exclude="));
    expect(policy).toMatch(/CODEX_API_KEY.*OPENAI_API_KEY/);
  });

  test("writes the schema to a file and names it", () => {
    const command = codex.command({ ...turn, outputSchema: { type: "object" } });
    expect(command.files).toEqual({ "/t/output.schema.json": '{"type":"object"}' });
    expect(command.args).toContain("/t/output.schema.json");
  });

  test("layers the skill's config below the run's options and what is enforced", () => {
    const config =
      'model_reasoning_effort = "low"\nsandbox_mode = "danger-full-access"\n[tools]\nweb_search = true\nlist = ["a b", "c"]';
    const command = codex.command({
      ...turn,
      effort: "high",
      model: "m",
      provider: "hub",
      skillConfig: config,
    });
    const args = command.args.filter((_arg, index) => command.args[index - 1] === "-c");
    expect(args).toContain('model_reasoning_effort="high"');
    expect(args).toContain('model_provider="hub"');
    expect(args).toContain('sandbox_mode="workspace-write"');
    expect(args).toContain("tools.web_search=true");
    expect(args.find((arg) => arg.startsWith("tools.list="))).toMatch(/\[ ?"a b", "c" ?\]/);
    expect(command.args.slice(command.args.indexOf("-m"))).toContain("m");
  });

  test.each([
    ["no TOML", "= = ="],
    ["a provider, which would receive the keys", '[model_providers.x]\nbase_url="http://elsewhere"'],
    ["an MCP server", '[mcp_servers.x]\ncommand="sh"'],
  ])("refuses a skill config with %s", (_what, skillConfig) => {
    expect(() => codex.command({ ...turn, skillConfig })).toThrow(
      expect.objectContaining({ code: "SKILL_INVALID" }),
    );
  });
});
