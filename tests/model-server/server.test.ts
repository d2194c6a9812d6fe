import { afterEach, describe, expect, it } from "vitest";
import { byPrompt, bySteps, type ModelScript, type ModelServer, startModelServer } from "./server.ts";

let server: ModelServer | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});

async function start(script: ModelScript): Promise<ModelServer> {
  server = await startModelServer(script);
  return server;
}

const system = {
  type: "message",
  role: "developer",
  content: [{ type: "input_text", text: "You are an agent." }],
};
const user = (text: string) => ({ type: "message", role: "user", content: [{ type: "input_text", text }] });
const assistant = (text: string) => ({
  type: "message",
  role: "assistant",
  content: [{ type: "output_text", text }],
});
const call = (id: string) => ({ type: "function_call", call_id: id, name: "exec_command", arguments: "{}" });
const result = (id: string, output: string) => ({ type: "function_call_output", call_id: id, output });

function ask(target: ModelServer, input: readonly unknown[], extra: object = {}): Promise<Response> {
  return fetch(`${target.url}/v1/responses`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: "Bearer k" },
    body: JSON.stringify({ model: "m", stream: true, instructions: "Be brief.", input, ...extra }),
  });
}

interface SentEvent {
  readonly type: string;
  readonly item?: Record<string, unknown>;
  readonly response?: Record<string, unknown>;
}

async function events(response: Response): Promise<SentEvent[]> {
  const blocks = (await response.text()).split("\n\n").filter((block) => block !== "");
  return blocks.map((block) => {
    const [eventLine = "", dataLine = ""] = block.split("\n");
    const event = JSON.parse(dataLine.replace("data: ", "")) as SentEvent;
    expect(eventLine).toBe(`event: ${event.type}`);
    return event;
  });
}

async function doneItems(response: Response): Promise<unknown[]> {
  return (await events(response))
    .filter((event) => event.type === "response.output_item.done")
    .map((event) => event.item);
}

const toolThenText = byPrompt([
  { match: "other", steps: [{ kind: "text", text: "other" }] },
  {
    match: /^write/i,
    steps: [
      { kind: "tool", command: "echo hi > a.txt", text: "Writing." },
      { kind: "text", text: "done", reasoning: "Thought." },
    ],
  },
]);

describe("the Responses wire", () => {
  it("streams a tool call with its announcement, then the final text with its reasoning", async () => {
    const target = await start(toolThenText);
    const first = await events(await ask(target, [system, user("Write it")]));
    expect(first.map((event) => event.type)).toEqual([
      "response.created",
      "response.output_item.added",
      "response.output_item.done",
      "response.output_item.added",
      "response.output_item.done",
      "response.completed",
    ]);
    expect(first[2]?.item).toMatchObject({ type: "message", content: [{ text: "Writing." }] });
    expect(first[4]?.item).toMatchObject({
      type: "function_call",
      name: "exec_command",
      arguments: '{"cmd":"echo hi > a.txt"}',
    });
    expect(first.at(-1)?.response).toMatchObject({ usage: { input_tokens: 1000, output_tokens: 50 } });

    const history = [system, user("Write it"), assistant("Writing."), call("call_0"), result("call_0", "ok")];
    expect(await doneItems(await ask(target, history))).toMatchObject([
      { type: "reasoning", summary: [{ text: "Thought." }] },
      { type: "message", content: [{ text: "done" }] },
    ]);
    expect(target.requests[1]?.model).toMatchObject({
      turnIndex: 1,
      stepIndex: 1,
      lastUserText: "Write it",
      toolResults: ["ok"],
    });
  });

  it("starts a rule over in a resumed conversation, and goes by the newest prompt", async () => {
    const target = await start(toolThenText);
    const history = [user("other"), assistant("other"), user("write again")];
    expect(await doneItems(await ask(target, history))).toMatchObject([
      { type: "message" },
      { type: "function_call" },
    ]);
    expect(target.requests[0]?.model).toMatchObject({ turnIndex: 1, stepIndex: 0 });
  });

  it("does not take context that codex injects as user messages for the prompt", async () => {
    const target = await start(toolThenText);
    const skill = user("<skill>\n<name>other</name>\n</skill>");
    await ask(target, [user("<environment_context>x</environment_context>"), user("write it"), skill]);
    expect(target.requests[0]?.model?.lastUserText).toBe("write it");
    expect(target.requests[0]?.model?.allText).toContain("<name>other</name>");
  });

  it("hands the script the output schema, the instructions and the headers", async () => {
    const target = await start(bySteps({ kind: "text", text: "{}" }));
    const schema = { type: "object" };
    await ask(target, [user("x")], { text: { format: { type: "json_schema", strict: true, schema } } });
    expect(target.requests[0]?.model).toMatchObject({ outputSchema: schema, model: "m" });
    expect(target.requests[0]?.model?.allText).toContain("Be brief.");
    expect(target.requests[0]?.headers.authorization).toBe("Bearer k");
  });

  it("answers an error step with its status, and a foreign body when given", async () => {
    const target = await start(
      byPrompt([
        { match: "key", steps: [{ kind: "error", status: 401, message: "Bad key" }] },
        { match: "odd", steps: [{ kind: "error", status: 503, message: "", body: { detail: "odd" } }] },
      ]),
    );
    const unauthorised = await ask(target, [user("key")]);
    expect(unauthorised.status).toBe(401);
    expect(await unauthorised.json()).toMatchObject({
      error: { message: "Bad key", code: "invalid_api_key" },
    });
    expect(await (await ask(target, [user("odd")])).json()).toEqual({ detail: "odd" });
    expect((await ask(target, [user("no rule")])).status).toBe(400);
  });
});

describe("the server", () => {
  it("plays many conversations at once", async () => {
    const target = await start(async (request) => ({ kind: "text", text: request.lastUserText }));
    const texts = Array.from({ length: 50 }, (_, index) => `prompt ${index}`);
    const answers = await Promise.all(texts.map(async (text) => doneItems(await ask(target, [user(text)]))));
    expect(answers.map((items) => items[0])).toMatchObject(texts.map((text) => ({ content: [{ text }] })));
  });

  it("waits through a delay", async () => {
    const target = await start(bySteps({ kind: "delay", ms: 60, next: { kind: "text", text: "late" } }));
    const started = performance.now();
    await doneItems(await ask(target, [user("x")]));
    expect(performance.now() - started).toBeGreaterThanOrEqual(50);
  });

  it("drops hanging and delayed requests when it closes", async () => {
    const target = await start(
      byPrompt([
        { match: "hang", steps: [{ kind: "hang" }] },
        { match: "wait", steps: [{ kind: "delay", ms: 60_000, next: { kind: "hang" } }] },
      ]),
    );
    const pending = ["hang", "wait"].map((text) =>
      ask(target, [user(text)]).catch((error: unknown) => error),
    );
    await expect.poll(() => target.requests.filter((request) => request.step !== undefined).length).toBe(2);
    await target.close();
    for (const outcome of await Promise.all(pending)) expect(outcome).toBeInstanceOf(Error);
  });

  it("answers 500 when the script throws, and goes on", async () => {
    const target = await start(() => {
      throw new Error("script bug");
    });
    const response = await ask(target, [user("x")]);
    expect(response.status).toBe(500);
    expect(await response.text()).toContain("script bug");
  });

  it("answers the model list, and 404 to what no wire knows", async () => {
    const target = await start(bySteps({ kind: "hang" }));
    expect(await (await fetch(`${target.url}/v1/models`)).json()).toMatchObject({ data: [], models: [] });
    expect((await fetch(`${target.url}/v1/nothing`, { method: "POST", body: "no json" })).status).toBe(404);
    expect(target.requests.map((request) => request.path)).toEqual(["/v1/models", "/v1/nothing"]);
    expect(target.requests[1]?.body).toBe("no json");
  });
});
