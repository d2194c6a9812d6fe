import { afterEach, expect, test, vi } from "vitest";
import { opencode } from "./index.ts";
import { pluginSource, startOnlyEnvironment } from "./plugin.ts";

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

/** The plugin as opencode loads it, with a client that notes which sessions it ended. */
async function load(hidden: string[] = []) {
  const lines: object[] = [];
  vi.spyOn(process.stdout, "write").mockImplementation((text) => lines.push(JSON.parse(String(text))) > 0);
  const aborted: string[] = [];
  const client = {
    session: { abort: async ({ path }: { path: { id: string } }) => void aborted.push(path.id) },
  };
  const { SkillRunner } = await import(`data:text/javascript,${encodeURIComponent(pluginSource(hidden))}`);
  return { lines, aborted, hooks: await SkillRunner({ client }) };
}

const running = (sessionID: string) => ({
  type: "message.part.updated",
  properties: {
    part: { type: "tool", callID: `call_${sessionID}`, sessionID, state: { status: "running" } },
  },
});
const retrying = (attempt: number, afterMs = 2_000, sessionID = "ses_1") => ({
  type: "session.status",
  properties: {
    sessionID,
    status: { type: "retry", attempt, message: "Overloaded", next: Date.now() + afterMs },
  },
});

test("tells once that a tool started, and not of a subagent's", async () => {
  const { lines, hooks } = await load();
  const child = { type: "session.created", properties: { info: { id: "ses_2", parentID: "ses_1" } } };
  for (const event of [child, running("ses_1"), running("ses_1"), running("ses_2")])
    await hooks.event({ event });
  expect(lines).toMatchObject([{ type: "tool_start", sessionID: "ses_1", part: { callID: "call_ses_1" } }]);
});

test("tells of retries, and ends the turn after the third", async () => {
  const { lines, aborted, hooks } = await load();
  for (const attempt of [1, 2, 3]) await hooks.event({ event: retrying(attempt) });
  expect(aborted).toEqual([]);
  await hooks.event({ event: retrying(4) });
  expect(lines).toMatchObject([
    ...Array(3).fill({ type: "retry" }),
    { type: "gave_up", message: "Overloaded" },
  ]);
  expect(aborted).toEqual(["ses_1"]);
});

test.each(["session.created", "session.updated"])(
  "ends a subagent (known by %s) after too many retries, but not the turn",
  async (type) => {
    const { lines, aborted, hooks } = await load();
    await hooks.event({ event: { type, properties: { info: { id: "ses_2", parentID: "ses_1" } } } });
    await hooks.event({ event: retrying(4, 2_000, "ses_2") });
    expect(aborted).toEqual(["ses_2"]);
    expect(lines).toMatchObject([{ type: "retry", message: "Overloaded" }]);
  },
);

test("does not wait for an hour because a header says so", async () => {
  const { aborted, hooks } = await load();
  await hooks.event({ event: retrying(1, 3_600_000) });
  expect(aborted).toEqual(["ses_1"]);
});

test("tools inherit neither what is for the start only nor the keys", async () => {
  for (const [name, value] of Object.entries(startOnlyEnvironment)) vi.stubEnv(name, value);
  const { hooks } = await load(opencode.keyVariables);
  expect(Object.keys(process.env).filter((name) => name in startOnlyEnvironment)).toEqual([]);
  const output = { env: {} };
  await hooks["shell.env"]({}, output);
  expect({ OPENAI_API_KEY: "k", OTHER: "o", ...output.env }).toMatchObject({
    OPENAI_API_KEY: undefined,
    OTHER: "o",
  });
});

test("an event it does not know is none of its business", async () => {
  const { lines, hooks } = await load();
  await hooks.event({ event: { type: "from.the.future" } });
  expect(lines).toEqual([]);
});
