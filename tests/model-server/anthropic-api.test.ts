import { describe, expect, it } from "vitest";
import type { ModelServer } from "./server.ts";
import { asRecord } from "./wire.ts";
import { eventData, post, start } from "./wire-testing.ts";

const bash = {
  name: "Bash",
  input_schema: { type: "object", properties: { command: {}, description: {} } },
};
const structured = { name: "StructuredOutput", input_schema: { type: "object", required: ["title"] } };
const user = (...texts: string[]) => ({
  role: "user",
  content: texts.map((text) => ({ type: "text", text })),
});
const assistant = (text: string) => ({ role: "assistant", content: [{ type: "text", text }] });
const call = (id: string, name: string) => ({
  role: "assistant",
  content: [{ type: "tool_use", id, name, input: {} }],
});
const result = (id: string, content: unknown, ...more: object[]) => ({
  role: "user",
  content: [{ type: "tool_result", tool_use_id: id, content }, ...more],
});
const reminder = "<system-reminder>\nother\n</system-reminder>";

function ask(target: ModelServer, messages: readonly unknown[], extra: object = {}): Promise<Response> {
  const body = {
    model: "m",
    system: [{ type: "text", text: "Be brief." }],
    tools: [bash],
    messages,
    ...extra,
  };
  return post(target, "/v1/messages?beta=true", body);
}

async function content(response: Promise<Response>): Promise<unknown> {
  return asRecord(await (await response).json()).content;
}

describe("the Anthropic wire", () => {
  it("streams a tool call with its announcement", async () => {
    const target = await start();
    const answer = await eventData(await ask(target, [user(reminder, "Write it")], { stream: true }));
    expect(answer).toMatchObject([
      { type: "message_start", message: { role: "assistant", model: "m", content: [], stop_reason: null } },
      { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
      { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "I am writing" } },
      { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: " it now." } },
      { type: "content_block_stop", index: 0 },
      { type: "content_block_start", index: 1, content_block: { type: "tool_use", name: "Bash", input: {} } },
      { type: "content_block_delta", index: 1, delta: { type: "input_json_delta" } },
      { type: "content_block_delta", index: 1, delta: { type: "input_json_delta" } },
      { type: "content_block_stop", index: 1 },
      {
        type: "message_delta",
        delta: { stop_reason: "tool_use" },
        usage: { input_tokens: 900, cache_read_input_tokens: 100, output_tokens: 50 },
      },
      { type: "message_stop" },
    ]);
    expect(JSON.stringify(answer)).toContain("echo hi");
  });

  it("answers in one piece when no stream is asked for, with the thought first", async () => {
    const target = await start();
    const history = [user("Write it"), call("t0", "Bash"), result("t0", [{ type: "text", text: "ok" }])];
    const answer = await (await ask(target, history)).json();
    expect(answer).toMatchObject({
      type: "message",
      content: [
        { type: "thinking", thinking: "I thought about it." },
        { type: "text", text: "all is done" },
      ],
      stop_reason: "end_turn",
      usage: { output_tokens: 50 },
    });
    expect(target.requests[0]?.model).toMatchObject({ turnIndex: 1, stepIndex: 1, toolResults: ["ok"] });
  });

  it("goes by the newest prompt, and takes neither context nor skills for one", async () => {
    const target = await start();
    const skill = { type: "text", text: "Base directory for this skill: /x\n\nother" };
    const history = [
      user("other"),
      assistant("other"),
      user("write again"),
      { role: "system", content: "other things" },
      call("t1", "Skill"),
      result("t1", "Launching skill: x", skill),
    ];
    expect(await content(ask(target, history))).toMatchObject([
      { type: "thinking" },
      { text: "all is done" },
    ]);
    expect(target.requests[0]?.model).toMatchObject({
      turnIndex: 2,
      stepIndex: 1,
      lastUserText: "write again",
    });
    expect(target.requests[0]?.model?.allText).toContain("Be brief.");
    expect(target.requests[0]?.model?.allText).toContain("other things");
  });

  it("hands data to the structured output tool, tries again when refused, and then ends the turn", async () => {
    const target = await start();
    const tools = [bash, structured];
    const handIn = [{ type: "tool_use", name: "StructuredOutput", input: { title: "T" } }];
    const prompt = user("data");
    expect(await content(ask(target, [prompt], { tools }))).toMatchObject(handIn);
    expect(target.requests[0]?.model?.outputSchema).toEqual(structured.input_schema);

    const called = [prompt, call("t0", "StructuredOutput")];
    const refused = [...called, result("t0", "Output does not match required schema")];
    expect(await content(ask(target, refused, { tools }))).toMatchObject(handIn);
    const reminded = [...refused, assistant("x"), user("[structured-output-enforce] You MUST call it.")];
    expect(await content(ask(target, reminded, { tools }))).toMatchObject(handIn);

    const taken = [...called, result("t0", "Structured output provided successfully")];
    expect(await content(ask(target, taken, { tools }))).toEqual([{ type: "text", text: "Done" }]);
    expect(await content(ask(target, [...taken, user("data again")], { tools }))).toMatchObject(handIn);
  });

  it("gives up on data that is refused for ever", async () => {
    const target = await start();
    const refusals = Array.from({ length: 10 }, () => [call("t", "StructuredOutput"), result("t", "no")]);
    const answer = content(ask(target, [user("data"), ...refusals.flat()], { tools: [structured] }));
    expect(await answer).toEqual([{ type: "text", text: '{"title": "T"}' }]);
  });

  it("answers a call without tools itself, with data when the call has a schema", async () => {
    const target = await start();
    const schema = { type: "object", properties: { title: { type: "string" } }, required: ["title"] };
    const format = { output_config: { format: { type: "json_schema", schema } } };
    const texts = await Promise.all([
      content(ask(target, [user("<session>write</session>")], { tools: undefined, ...format })),
      content(ask(target, [user("key")], { tools: [] })),
    ]);
    expect(texts).toEqual([[{ type: "text", text: '{"title":"done"}' }], [{ type: "text", text: "Done" }]]);
    expect(target.requests.map((request) => request.isSideCall)).toEqual([true, true]);
  });

  it("says errors in Anthropic's way, and counts tokens", async () => {
    const target = await start();
    const bad = await ask(target, [user("key")]);
    expect(bad.status).toBe(401);
    expect(await bad.json()).toEqual({
      type: "error",
      error: { type: "authentication_error", message: "Bad key" },
    });
    expect(await (await ask(target, [user("broken")])).json()).toMatchObject({
      error: { type: "api_error" },
    });
    expect(await (await ask(target, [user("odd")])).json()).toEqual({ detail: "odd" });
    expect(await (await post(target, "/v1/messages/count_tokens?beta=true", {})).json()).toEqual({
      input_tokens: 1000,
    });
  });
});
