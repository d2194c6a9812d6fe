import { describe, expect, it } from "vitest";
import type { ModelServer } from "./server.ts";
import { asArray, asRecord } from "./wire.ts";
import { eventData, post, start } from "./wire-testing.ts";

const shell = {
  name: "run_shell_command",
  parametersJsonSchema: { type: "object", properties: { command: {}, description: {}, is_background: {} } },
};
const user = (...texts: string[]) => ({ role: "user", parts: texts.map((text) => ({ text })) });
const call = (name: string, ...before: object[]) => ({
  role: "model",
  parts: [...before, { functionCall: { name, args: {} } }],
});
const result = (name: string, response: object) => ({
  role: "user",
  parts: [{ functionResponse: { name, response } }],
});
const context = "<session_context>\nThis is the Gemini CLI. other\n</session_context>";

function ask(
  target: ModelServer,
  contents: readonly unknown[],
  { action = "generateContent", ...extra }: { action?: string } & Record<string, unknown> = {},
): Promise<Response> {
  return post(target, `/v1beta/models/gemini-x:${action}`, {
    contents,
    systemInstruction: { role: "user", parts: [{ text: "Be brief." }] },
    tools: [{ functionDeclarations: [shell] }],
    ...extra,
  });
}

async function parts(response: Promise<Response>): Promise<unknown> {
  const answer = asRecord(await (await response).json());
  return asRecord(asRecord(asArray(answer.candidates)[0]).content).parts;
}

describe("the Gemini wire", () => {
  it("streams a tool call with its announcement", async () => {
    const target = await start();
    const response = await ask(target, [user(context, "Write it")], {
      action: "streamGenerateContent?alt=sse",
    });
    const args = { command: "echo hi > a.txt", description: "Run a command", is_background: false };
    const functionCall = { name: "run_shell_command", args };
    expect(await eventData(response)).toMatchObject([
      { candidates: [{ content: { role: "model", parts: [{ text: "I am writing" }] } }] },
      { candidates: [{ content: { role: "model", parts: [{ text: " it now." }] } }] },
      {
        candidates: [{ content: { role: "model", parts: [{ functionCall }] }, finishReason: "STOP" }],
        usageMetadata: { promptTokenCount: 1000, cachedContentTokenCount: 100, totalTokenCount: 1050 },
        modelVersion: "gemini-x",
      },
    ]);
    expect(target.requests[0]?.model).toMatchObject({ model: "gemini-x", lastUserText: "Write it" });
    expect(target.requests[0]?.model?.allText).toContain("Be brief.");
  });

  it("answers in one piece, with the thought first", async () => {
    const target = await start();
    const history = [
      user("Write it"),
      call("run_shell_command", { text: "I am writing it now." }),
      result("run_shell_command", { output: "ok" }),
    ];
    expect(await parts(ask(target, history))).toEqual([
      { text: "I thought about it.", thought: true },
      { text: "all is" },
      { text: " done" },
    ]);
    expect(target.requests[0]?.model).toMatchObject({ turnIndex: 1, stepIndex: 1, toolResults: ["ok"] });
  });

  it("goes by the newest prompt, and reads results of any shape", async () => {
    const target = await start();
    const history = [
      user(context, "other"),
      call("activate_skill"),
      result("activate_skill", { error: "No such skill" }),
      user("write again"),
      call("a", { text: "one" }),
      result("a", { rows: 3 }),
    ];
    await ask(target, history);
    expect(target.requests[0]?.model).toMatchObject({
      turnIndex: 2,
      stepIndex: 1,
      lastUserText: "write again",
      toolResults: ["No such skill", '{"rows":3}'],
    });
  });

  it("answers who speaks next, and other side calls, itself", async () => {
    const target = await start();
    const responseSchema = {
      type: "OBJECT",
      properties: {
        reasoning: { type: "STRING" },
        next_speaker: { type: "STRING", enum: ["user", "model"] },
        certain: { type: "BOOLEAN" },
        confidence: { type: "NUMBER" },
        notes: { type: "ARRAY", items: { type: "STRING" } },
      },
    };
    const asked = await parts(
      ask(target, [user("write")], { tools: undefined, generationConfig: { responseSchema } }),
    );
    expect(asked).toEqual([
      {
        text: '{"reasoning":"done","next_speaker":"user","certain":false,"confidence":0,"notes":[]}',
      },
    ]);
    expect(await parts(ask(target, [user("write")], { tools: [] }))).toEqual([{ text: "Done" }]);
    expect(target.requests.map((request) => request.isSideCall)).toEqual([true, true]);
  });

  it("says in words that there is no shell to call", async () => {
    const target = await start();
    const tools = [{ functionDeclarations: [{ name: "read_file" }] }];
    expect(JSON.stringify(await parts(ask(target, [user("write")], { tools })))).toContain("no shell");
  });

  it("says errors in Google's way, and counts tokens", async () => {
    const target = await start();
    const bad = await ask(target, [user("key")], { action: "streamGenerateContent?alt=sse" });
    expect(bad.status).toBe(401);
    expect(await bad.json()).toEqual({
      error: { code: 401, message: "Bad key", status: "UNAUTHENTICATED" },
    });
    expect(await (await ask(target, [user("broken")])).json()).toMatchObject({
      error: { status: "INTERNAL" },
    });
    expect(await (await ask(target, [user("odd")])).json()).toEqual({ detail: "odd" });
    expect(await (await ask(target, [user("x")], { action: "countTokens" })).json()).toEqual({
      totalTokens: 1000,
    });
  });
});
