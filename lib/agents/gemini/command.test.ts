import { expect, test } from "vitest";
import type { TurnRequest } from "../agent.ts";
import { turnOf } from "../recorded.test-support.ts";
import { gemini } from "./index.ts";

const file = "/w/.gemini/settings.json";
const settingsOf = (turn: Partial<TurnRequest> = {}) =>
  JSON.parse(gemini.command(turnOf(turn)).files[file] ?? "");

test("the prompt is not on argv", () => {
  const { args } = gemini.command(turnOf({ model: "m" }));
  expect(args).toEqual(["-o", "stream-json", "--approval-mode", "yolo", "-m", "m"]);
});

test("goes on with a session", () => {
  expect(gemini.command(turnOf({ sessionId: "0199-x" })).args.slice(-2)).toEqual(["--resume", "0199-x"]);
});

test("a version without --approval-mode is told in the older words", () => {
  const cli = { version: "0.1.0", flags: new Set(["--yolo", "--prompt"]) };
  expect(gemini.command(turnOf({ cli })).args).toContain("--yolo");
});

test("the workspace is trusted, or neither its settings nor its skills would be read", () => {
  expect(gemini.command(turnOf()).env).toMatchObject({ GEMINI_CLI_TRUST_WORKSPACE: "true" });
});

test.each([
  ["a key", { GEMINI_API_KEY: "k" }, "gemini-api-key"],
  ["Vertex AI", { GEMINI_API_KEY: "k", GOOGLE_GENAI_USE_VERTEXAI: "true" }, "vertex-ai"],
  ["a key of Google Cloud", { GOOGLE_API_KEY: "k" }, "vertex-ai"],
])("signs in with %s of the environment", (_what, environment, selectedType) => {
  expect(settingsOf({ environment }).security).toEqual({ auth: { selectedType } });
});

test.each([{}, { GEMINI_API_KEY: "" }, { GOOGLE_CLOUD_PROJECT: "p" }])(
  "leaves the user's own sign-in alone without a key: %o",
  (environment: Record<string, string>) => {
    expect(settingsOf({ environment })).not.toHaveProperty("security");
  },
);

test("the skill's settings lie below what is enforced", () => {
  const skillConfig = JSON.stringify({
    general: { maxAttempts: 10, vimMode: true, topicUpdateNarration: true },
    model: { name: "m" },
  });
  expect(settingsOf({ skillConfig })).toMatchObject({
    general: { maxAttempts: 3, vimMode: true, topicUpdateNarration: true, plan: { enabled: false } },
    model: { name: "m" },
    privacy: { usageStatisticsEnabled: false },
  });
});

test.each([
  ["gemini-2.5-pro", { thinkingBudget: 24_576 }],
  ["gemini-3.1-pro-preview", { thinkingLevel: "HIGH" }],
  [null, { thinkingLevel: "HIGH" }],
])("an effort of %s is %o", (model, thinkingConfig) => {
  expect(settingsOf({ model, effort: "high" }).modelConfigs.overrides[0].modelConfig).toEqual({
    generateContentConfig: { thinkingConfig },
  });
});

test("a skill that is named like a bundled one is not switched off with it", () => {
  expect(settingsOf({ skillId: "skill-creator" }).skills.disabled).toEqual(["antigravity-support"]);
});

test.each([
  ["no JSON", "= ="],
  ["an MCP server", '{"mcpServers":{"x":{"command":"sh"}}}'],
  ["another sign-in", '{"security":{"auth":{"selectedType":"oauth-personal"}}}'],
  ["a hook", '{"hooks":{"BeforeTool":[]}}'],
  ["another endpoint", '{"modelConfigs":{"overrides":[]}}'],
])("refuses a skill config with %s", (_what, skillConfig) => {
  expect(() => gemini.command(turnOf({ skillConfig }))).toThrow(
    expect.objectContaining({ code: "SKILL_INVALID" }),
  );
});

test("the container's first settings are the ones of the guide", () => {
  expect(JSON.parse(gemini.bootstrapFiles["gemini/settings.json"] ?? "")).toEqual({
    security: { auth: { selectedType: "oauth-personal" } },
  });
});
