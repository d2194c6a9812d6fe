import { describe, expect, it } from "vitest";
import type { ModelServer } from "./server.ts";
import { asArray, asRecord } from "./wire.ts";
import { eventData, post, start } from "./wire-testing.ts";

const tool = (name: string, ...properties: string[]) => ({
  type: "function",
  function: {
    name,
    parameters: {
      type: "object",
      properties: Object.fromEntries(properties.map((property) => [property, {}])),
    },
  },
});
const opencodeShell = tool("bash", "command", "timeout");
const qwenShell = tool("run_shell_command", "command", "description", "is_background");
const system = { role: "system", content: "Be brief." };
const user = (text: string) => ({ role: "user", content: text });
const assistant = (content: string) => ({ role: "assistant", content });
const call = (id: string, name: string) => ({
  role: "assistant",
  content: null,
  tool_calls: [{ id, type: "function", function: { name, arguments: "{}" } }],
});
const result = (id: string, content: unknown) => ({ role: "tool", tool_call_id: id, content });
const qwenContext = {
  role: "user",
  content: [{ type: "text", text: "This is the Qwen Code. We are setting up the context. other" }],
};

function ask(target: ModelServer, messages: readonly unknown[], extra: object = {}): Promise<Response> {
  const body = { model: "m", messages: [system, ...messages], tools: [opencodeShell], ...extra };
  return post(target, "/v1/chat/completions", body);
}

async function message(response: Promise<Response>): Promise<unknown> {
  const answer = asRecord(await (await response).json());
  return asRecord(asArray(answer.choices)[0]).message;
}

const shellCall = (name: string, args: object) => ({
  tool_calls: [{ id: "call_0", type: "function", function: { name, arguments: JSON.stringify(args) } }],
});

describe("the chat completions wire", () => {
  it("streams a tool call with its announcement", async () => {
    const target = await start();
    const chunks = await eventData(await ask(target, [user("Write it")], { stream: true }));
    expect(chunks).toMatchObject([
      { object: "chat.completion.chunk", choices: [{ delta: { role: "assistant" }, finish_reason: null }] },
      { choices: [{ delta: { content: "I am writing" } }] },
      { choices: [{ delta: { content: " it now." } }] },
      { choices: [{ delta: shellCall("bash", { command: "echo hi > a.txt" }) }] },
      { choices: [{ delta: {}, finish_reason: "tool_calls" }] },
      { choices: [], usage: { prompt_tokens: 1000, completion_tokens: 50, total_tokens: 1050 } },
      "[DONE]",
    ]);
  });

  it("streams the thought before the text", async () => {
    const target = await start();
    const history = [user("Write it"), call("call_0", "bash"), result("call_0", "ok")];
    const chunks = await eventData(await ask(target, history, { stream: true }));
    expect(chunks.slice(1, -3)).toMatchObject([
      { choices: [{ delta: { reasoning_content: "I thought" } }] },
      { choices: [{ delta: { reasoning_content: " about it." } }] },
      { choices: [{ delta: { content: "all is" } }] },
      { choices: [{ delta: { content: " done" } }] },
    ]);
    expect(target.requests[0]?.model).toMatchObject({ turnIndex: 1, stepIndex: 1, toolResults: ["ok"] });
    expect(target.requests[0]?.model?.allText).toContain("Be brief.");
  });

  it("answers in one piece, calling the shell the request offers", async () => {
    const target = await start();
    const args = { command: "echo hi > a.txt", description: "Run a command", is_background: false };
    const answer = await (await ask(target, [user("write")], { tools: [qwenShell] })).json();
    expect(answer).toMatchObject({
      object: "chat.completion",
      choices: [{ message: shellCall("run_shell_command", args), finish_reason: "tool_calls" }],
      usage: { total_tokens: 1050 },
    });
  });

  it("goes by the newest prompt, and does not count what qwen puts before the first", async () => {
    const target = await start();
    const setUp = [qwenContext, assistant("Got it. Thanks for the context!")];
    const history = [...setUp, user("other"), assistant("other"), user("write again")];
    expect(await message(ask(target, history))).toMatchObject({ content: "I am writing it now." });
    expect(target.requests[0]?.model).toMatchObject({
      turnIndex: 1,
      stepIndex: 0,
      lastUserText: "write again",
    });
  });

  it("hands data to the structured output tool, and ends the turn when it was taken", async () => {
    const target = await start();
    const tools = [qwenShell, tool("structured_output", "title")];
    const handIn = { tool_calls: [{ function: { name: "structured_output", arguments: '{"title":"T"}' } }] };
    expect(await message(ask(target, [user("data")], { tools }))).toMatchObject(handIn);
    expect(target.requests[0]?.model?.outputSchema).toMatchObject({ properties: { title: {} } });

    const called = [user("data"), call("c", "structured_output")];
    const refused = [...called, result("c", "params must have required property 'count'")];
    expect(await message(ask(target, refused, { tools }))).toMatchObject(handIn);
    const taken = [...called, result("c", [{ type: "text", text: "Structured output accepted." }])];
    expect(await message(ask(target, taken, { tools }))).toMatchObject({ content: "Done" });
  });

  it("answers side calls itself: without tools, or of qwen's memory", async () => {
    const target = await start();
    const title = [user("Generate a title for this conversation:\n"), user("write")];
    const memory = [user("write"), assistant("done"), user("Managed memory directory: `/x`\n\nScan it.")];
    const answers = [
      await message(ask(target, title, { tools: undefined })),
      await message(ask(target, memory)),
    ];
    expect(answers).toMatchObject([{ content: "Done" }, { content: "Done" }]);
    expect(target.requests.map((request) => request.isSideCall)).toEqual([true, true]);
    const schema = { type: "object", properties: { n: { type: "integer" } } };
    const format = { type: "json_schema", json_schema: { schema } };
    const asked = message(ask(target, [user("x")], { tools: [], response_format: format }));
    expect(await asked).toMatchObject({ content: '{"n":0}' });
  });

  it("says errors in OpenAI's way", async () => {
    const target = await start();
    const bad = await ask(target, [user("key")], { stream: true });
    expect(bad.status).toBe(401);
    expect(await bad.json()).toMatchObject({ error: { message: "Bad key", code: "invalid_api_key" } });
    expect((await ask(target, [user("broken")])).status).toBe(500);
    expect(await (await ask(target, [user("odd")])).json()).toEqual({ detail: "odd" });
  });
});
