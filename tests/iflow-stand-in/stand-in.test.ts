import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { byPrompt, type ModelServer, startModelServer } from "../model-server/server.ts";
import { installIflowStandIn } from "./install.ts";

let folder: string;
let model: ModelServer;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "iflow-stand-in-"));
  for (const name of ["home/.iflow", "work"]) await mkdir(join(folder, name), { recursive: true });
  await writeFile(join(folder, "home/.iflow/settings.json"), '{"selectedAuthType":"openai-compatible"}');
  await installIflowStandIn(folder);
  model = await startModelServer(
    byPrompt([
      {
        match: "run it",
        steps: [
          { kind: "tool", command: "echo ran; exit 3" },
          { kind: "text", text: "It ran." },
        ],
      },
      { match: "hang", steps: [{ kind: "hang" }] },
      { match: "refuse", steps: [{ kind: "error", status: 401, message: "Incorrect API key provided." }] },
      { match: "", steps: [{ kind: "text", text: "Hello." }] },
    ]),
  );
});
afterAll(async () => {
  await model.close();
  await rm(folder, { recursive: true, force: true });
});

const children: ChildProcessWithoutNullStreams[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

function start(...args: string[]): ChildProcessWithoutNullStreams {
  const env = {
    PATH: process.env.PATH,
    HOME: join(folder, "home"),
    IFLOW_API_KEY: "k",
    IFLOW_BASE_URL: `${model.url}/v1`,
  };
  const child = spawn(join(folder, "bin/iflow"), args, { cwd: join(folder, "work"), env });
  children.push(child);
  return child;
}

async function ended(child: ChildProcessWithoutNullStreams) {
  const texts = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk) => {
    texts.stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    texts.stderr += chunk;
  });
  const exitCode = await new Promise((resolve) => child.once("close", resolve));
  return { ...texts, exitCode };
}

test("a real iflow in the prefix is left alone", async () => {
  const prefix = await mkdtemp(join(folder, "prefix-"));
  await mkdir(join(prefix, "bin"));
  await writeFile(join(prefix, "bin/iflow"), "#!/usr/bin/env node\nreal();\n");
  await installIflowStandIn(prefix);
  expect(await readFile(join(prefix, "bin/iflow"), "utf8")).toContain("real()");
});

describe("text mode", () => {
  test.each([
    ["an option it does not know", ["--output-format", "json"], 1, /Unknown option/],
    ["a model that refuses the key", ["-p", "refuse"], 0, /Error when talking to iFlow API.*status: 401/],
  ])("%s", async (_what, args, exitCode, stderr) => {
    const child = start(...args);
    child.stdin.end();
    expect(await ended(child)).toEqual({
      exitCode,
      stdout: expect.stringMatching(/^\s*$/),
      stderr: expect.stringMatching(stderr),
    });
  });

  test("takes the prompt from stdin and a session up again", async () => {
    const first = start("--yolo");
    first.stdin.end("run it");
    const { stdout, stderr } = await ended(first);
    expect(stdout).toBe("It ran.\n");
    const [, session = ""] = /"session-id": "(.*)"/.exec(stderr) ?? [];
    const second = start("--yolo", "--resume", session);
    second.stdin.end("and now?");
    expect((await ended(second)).stderr).toContain(`Resuming session ${session} (4 messages loaded)`);
    expect(model.requests.at(-1)?.model?.toolResults).toEqual([expect.stringContaining("Exit Code: 3")]);
  });
});

/** Speaks JSON-RPC, one message a line, with a stand-in in ACP mode. */
function speak() {
  const child = start("--experimental-acp");
  const told: string[] = [];
  const answers = new Map<number, (answer: object) => void>();
  createInterface({ input: child.stdout }).on("line", (line) => {
    told.push(line);
    if (!line.startsWith("{")) return;
    const message = JSON.parse(line);
    answers.get(message.id)?.(message);
  });
  const send = (message: object) => child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
  let id = 0;
  return {
    told,
    updates: () =>
      told.filter((line) => line.includes('"session/update"')).map((line) => JSON.parse(line).params.update),
    notify: (method: string, params: object) => send({ method, params }),
    ask(method: string, params: object) {
      id += 1;
      send({ id, method, params });
      // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came back
      return new Promise<any>((resolve) => answers.set(id, resolve));
    },
  };
}

describe("ACP mode", () => {
  const initialize = {
    protocolVersion: 1,
    clientCapabilities: { fs: { readTextFile: false, writeTextFile: false } },
  };
  const text = (words: string) => [{ type: "text", text: words }];
  const opened = async () => {
    const peer = speak();
    await peer.ask("initialize", initialize);
    const { result } = await peer.ask("session/new", { cwd: join(folder, "work"), mcpServers: [] });
    return { peer, sessionId: result.sessionId };
  };

  test("begins with a line that is no JSON, and says that it can load sessions", async () => {
    const peer = speak();
    expect(await peer.ask("initialize", initialize)).toMatchObject({
      result: { protocolVersion: 1, isAuthenticated: true, agentCapabilities: { loadSession: true } },
    });
    expect(peer.told[0]).toMatch(/^\[iFlow ACP Agent\]/);
    expect(await peer.ask("initialize", { protocolVersion: 1 })).toMatchObject({ error: { code: -32602 } });
  });

  test("tells the tools it runs, and what was said", async () => {
    const { peer, sessionId } = await opened();
    const { result } = await peer.ask("session/prompt", { sessionId, prompt: text("run it") });
    expect(result).toEqual({ stopReason: "end_turn" });
    expect(peer.updates()).toMatchObject([
      { sessionUpdate: "tool_call", toolName: "run_shell_command", kind: "execute", status: "pending" },
      { sessionUpdate: "tool_call_update", status: "in_progress", args: { command: "echo ran; exit 3" } },
      { sessionUpdate: "tool_call_update", status: "completed", content: [{ content: { text: "ran\n" } }] },
      { sessionUpdate: "agent_message_chunk", content: { type: "text", text: "It ran." } },
    ]);
  });

  test("loads a session of another process, and answers for one it does not know", async () => {
    const { peer, sessionId } = await opened();
    await peer.ask("session/prompt", { sessionId, prompt: text("remember the heron") });
    const { peer: later } = await opened();
    await later.ask("session/load", { sessionId, cwd: join(folder, "work"), mcpServers: [] });
    await later.ask("session/prompt", { sessionId, prompt: text("what?") });
    expect(model.requests.at(-1)?.model?.allText).toContain("remember the heron");
    expect(await later.ask("session/prompt", { sessionId: "none", prompt: text("x") })).toMatchObject({
      error: { code: -32600 },
    });
  });

  test("a cancel ends the prompt, an error of the model fails it", async () => {
    const { peer, sessionId } = await opened();
    const before = model.requests.length;
    const answer = peer.ask("session/prompt", { sessionId, prompt: text("hang") });
    await expect.poll(() => model.requests.length).toBeGreaterThan(before);
    peer.notify("session/cancel", { sessionId });
    expect(await answer).toMatchObject({ result: { stopReason: "cancelled" } });
    expect(await peer.ask("session/prompt", { sessionId, prompt: text("refuse") })).toMatchObject({
      error: { code: -32603, message: expect.stringContaining("status: 401") },
    });
  });
});
