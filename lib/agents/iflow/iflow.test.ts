import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readRecorded, turnOf } from "../recorded.test-support.ts";
import { iflow } from "./index.ts";
import { readIflow } from "./stream.ts";

const version = "0.5.19-stand-in";
const fixtures = join(import.meta.dirname, "../../../tests/fixtures/iflow", version);
const read = (name: string) => readRecorded(iflow, version, name, turnOf({ turnDir: join(fixtures, name) }));

describe("streams of the stand-in for iflow 0.5.19", () => {
  test("an answer, its session and its tokens; nothing is told of the tools", () => {
    const { summary, types } = read("success-tool");
    expect(types).toEqual(["message", "message", "session", "usage", "turn_completed"]);
    expect(summary.finalText).toBe(
      'I will write the report now.\n{"title":"Quarterly report","report":"artifacts/report.md"}',
    );
    expect(summary).toMatchObject({
      completed: true,
      failure: null,
      sessionId: expect.stringMatching(/^session-[0-9a-f-]{36}$/),
      usage: { input_tokens: 2000, output_tokens: 100, cost_usd: null },
    });
  });

  test.each(["resume", "reasoning", "tool-failure", "bad-json"])("%s is a completed turn", (name) => {
    const { summary } = read(name);
    expect(summary).toMatchObject({ completed: true, failure: null, sessionId: expect.any(String) });
    expect(summary.finalText).not.toContain("does not support thinking mode");
  });

  test("a session it does not know becomes another one, which the runner sees by its id", () => {
    expect(read("unknown-session").summary).toMatchObject({
      completed: true,
      sessionId: expect.not.stringContaining("01a20000-0000-7000-8000-000000000000"),
    });
  });

  test.each([
    ["auth-401", "auth", /status: 401.*Incorrect API key provided/],
    ["no-credentials", "auth", /^Please set an Auth method in your .*settings\.json/],
    ["model-400", "model", /status: 400/],
    ["model-500", "model", /status: 500/],
    ["endpoint-refused", "model", /fetch failed/],
  ])("%s fails as %s, whatever its exit code", (name, kind, message) => {
    const { summary } = read(name);
    expect(summary.completed).toBe(false);
    expect(summary.failure).toEqual({ kind, message: expect.stringMatching(message) });
  });

  test("killed in a tool, it neither completes nor fails", () => {
    expect(read("killed-sigterm").summary).toMatchObject({
      completed: false,
      failure: null,
      sessionId: null,
    });
  });
});

const info = (more: object = {}) => JSON.stringify({ "session-id": "session-1", ...more }, null, 2);
const eventsOf = (stdout: string, infoFile: string | null) => {
  const reader = readIflow(() => infoFile);
  return [...stdout.split("\n").flatMap((line) => reader.line(line)), ...(reader.end?.() ?? [])];
};

describe("what is told at the end", () => {
  test("is taken from stdout when an older version prints it there", () => {
    expect(eventsOf(`Hello\n\n<Execution Info>\n${info()}\n</Execution Info>\n`, null)).toEqual([
      { type: "message", text: "Hello", delta: false },
      { type: "session", sessionId: "session-1" },
      { type: "turn_completed" },
    ]);
  });

  test("may be that the turn was ended early", () => {
    expect(eventsOf("Hello\n", info({ terminationReason: "max_turns_exceeded" })).at(-1)).toEqual({
      type: "failure",
      kind: "other",
      message: "iflow ended the turn early: max_turns_exceeded",
    });
  });

  test.each([null, "", "{", '{"session-id":""}', "[]"])("may be missing: %o", (infoFile) => {
    expect(eventsOf("Hello\n", infoFile).map(({ type }) => type)).toEqual(["message"]);
  });
});

test("blank lines within the answer stay, those around it go", () => {
  const texts = eventsOf("\n\none\n\ntwo\n\n", null).map((event) => ("text" in event ? event.text : ""));
  expect(texts.join("")).toBe("one\n\ntwo");
});

test("a printout that is not JSON between the tags costs no memory", () => {
  const reader = readIflow(() => null);
  reader.line("<Execution Info>");
  for (let line = 0; line < 10_000; line++) expect(reader.line("x".repeat(100))).toEqual([]);
  expect(reader.end?.()).toEqual([]);
});

test.each([
  ["Auth method has been deprecated. Please reconfigure with OpenAI Compatible API.", "auth"],
  ["[API Error: generate data error: Invalid API key provided]", "auth"],
  ["Error: OAuth2 令牌已过期", "auth"],
  [
    "Error when talking to iFlow API Full report available at: /tmp/x.json Error: generate data error: fetch failed",
    "model",
  ],
  ["An unexpected critical error occurred:\nError: EACCES", "model"],
])("stderr explains a turn without words: %s", (stderr, kind) => {
  expect(iflow.explainStderr(`${stderr}\n`)).toMatchObject({ type: "failure", kind });
});

test("a model error after the first words is told on stderr alone, which is asked", () => {
  const words = eventsOf("I will write\n", info());
  expect(words.at(-1)).toEqual({ type: "turn_completed" });
  expect(iflow.stderrRules).toBe(true);
  const stderr = `Error when talking to iFlow API Error: fetch failed\n\n<Execution Info>\n${info()}\n`;
  expect(iflow.explainStderr(stderr)).toMatchObject({ kind: "model", message: "fetch failed" });
});

test.each([
  "Attempt 1 failed. Retrying with backoff... Error: generate data error: HTTP error! status: 500",
  "Error executing tool run_shell_command: Error when talking to iFlow API: Please set an Auth method",
  "Error executing tool read_file: generate data error: 401",
  "ℹ️  Resuming session session-1 (2 messages loaded)",
  "The page says: Error when talking to iFlow API",
])("what a turn that went on leaves on stderr explains nothing: %s", (line) => {
  expect(iflow.explainStderr(`\n${line}\n\n<Execution Info>\n${info()}\n</Execution Info>\n`)).toBeNull();
});

describe("the execution info's file", () => {
  let turnDir: string;
  beforeEach(() => {
    turnDir = mkdtempSync(join(tmpdir(), "iflow-"));
  });
  afterEach(() => rmSync(turnDir, { recursive: true }));
  const sessions = () => (iflow.read(turnOf({ turnDir })).end?.() ?? []).map(({ type }) => type);
  const file = () => join(turnDir, "execution-info.json");

  test("is read", () => {
    writeFileSync(file(), info());
    expect(sessions()).toEqual(["session"]);
  });

  test("is not read through a link", () => {
    writeFileSync(join(turnDir, "other"), info());
    symlinkSync("other", file());
    expect(sessions()).toEqual([]);
  });

  test("is not read when it is too large", () => {
    writeFileSync(file(), info() + " ".repeat(1024 * 1024));
    expect(sessions()).toEqual([]);
  });
});

test("the end of a turn on stderr explains nothing", () => {
  expect(iflow.explainStderr(`\n<Execution Info>\n${info()}\n</Execution Info>\n`)).toBeNull();
});
