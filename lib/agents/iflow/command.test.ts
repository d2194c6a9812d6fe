import { expect, test } from "vitest";
import type { TurnRequest } from "../agent.ts";
import { turnOf } from "../recorded.test-support.ts";
import { iflow } from "./index.ts";

const file = "/w/.iflow/settings.json";
const settingsOf = (turn: Partial<TurnRequest> = {}) =>
  JSON.parse(iflow.command(turnOf(turn)).files[file] ?? "");

test("the prompt is not on argv, and nothing is asked", () => {
  const { args } = iflow.command(turnOf({ model: "m" }));
  expect(args).toEqual(["--yolo", "--thinking", "--output-file", "/t/execution-info.json", "--model", "m"]);
});

test("writes its execution info where it may: into the run's temporary folder", () => {
  const { args } = iflow.command(turnOf({ turnDir: "/t/turn-2", environment: { TMPDIR: "/run/tmp" } }));
  expect(args).toContain("/run/tmp/iflow-turn-2.json");
});

test("goes on with a session", () => {
  expect(iflow.command(turnOf({ sessionId: "session-x" })).args.slice(-2)).toEqual(["--resume", "session-x"]);
});

test("an option that this version does not name is left out: it would end with an error", () => {
  const cli = { version: "0.2.0", flags: new Set(["--yolo", "--resume"]) };
  expect(iflow.command(turnOf({ cli })).args).toEqual(["--yolo"]);
});

test("the model stands above what a .env file in the way says", () => {
  expect(iflow.command(turnOf({ model: "m" })).env).toMatchObject({ IFLOW_MODEL_NAME: "m" });
  expect(iflow.command(turnOf()).env).not.toHaveProperty("IFLOW_MODEL_NAME");
});

test("a key and an endpoint of the environment sign in; less leaves the user's own sign-in alone", () => {
  const environment = { IFLOW_API_KEY: "k", IFLOW_BASE_URL: "http://127.0.0.1:1/v1" };
  expect(settingsOf({ environment })).toHaveProperty("selectedAuthType", "openai-compatible");
  expect(settingsOf({ environment: { IFLOW_API_KEY: "k" } })).not.toHaveProperty("selectedAuthType");
  expect(settingsOf()).not.toHaveProperty("selectedAuthType");
});

test("the skill's settings lie below the run's options and what is enforced", () => {
  const skillConfig = JSON.stringify({ modelName: "skill", approvalMode: "plan", tokensLimit: 1000 });
  expect(settingsOf({ skillConfig, model: "run" })).toMatchObject({
    modelName: "run",
    approvalMode: "yolo",
    tokensLimit: 1000,
    disableTelemetry: true,
  });
  expect(settingsOf({ skillConfig })).toHaveProperty("modelName", "skill");
});

test.each([
  ["no JSON", "= ="],
  ["an MCP server", '{"mcpServers":{"x":{"command":"sh"}}}'],
  ["another endpoint, which would receive the key", '{"baseUrl":"https://example.com/v1"}'],
])("refuses a skill config with %s", (_what, skillConfig) => {
  expect(() => iflow.command(turnOf({ skillConfig }))).toThrow(
    expect.objectContaining({ code: "SKILL_INVALID" }),
  );
});

test("the container's first settings are the ones of the guide", () => {
  expect(JSON.parse(iflow.bootstrapFiles["iflow/settings.json"] ?? "")).toEqual({
    selectedAuthType: "iflow",
  });
});

test("says why it cannot be installed, and what to do", () => {
  expect(iflow.unavailable).toMatch(/withdrawn .* from npm: put an iflow executable .* bin folder .* PATH/);
});
