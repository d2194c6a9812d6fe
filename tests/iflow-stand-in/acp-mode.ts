import { createInterface } from "node:readline";
import { z } from "zod";
import { takeTurn } from "./conversation.ts";
import type { ToolCall } from "./model.ts";
import { openSession, type Session } from "./session.ts";
import { findEndpoint } from "./settings.ts";

const request = z.object({
  id: z.union([z.number(), z.string()]).optional(),
  method: z.string(),
  params: z.unknown(),
});
const initializeParams = z.object({
  protocolVersion: z.number(),
  clientCapabilities: z.object({ fs: z.unknown() }),
});
const sessionParams = z.object({ sessionId: z.string() });
const newParams = z.object({ cwd: z.string(), mcpServers: z.array(z.unknown()) });
const loadParams = z.object({ sessionId: z.string(), cwd: z.string() });
const promptParams = z.object({
  sessionId: z.string(),
  prompt: z.array(z.object({ type: z.string(), text: z.string().optional() })),
});

const authMethods = [
  { id: "oauth-iflow", name: "Log in with IFLOW", description: null },
  {
    id: "iflow",
    name: "Use iFlow API key",
    description: "Requires setting the `IFLOW_API_KEY` environment variable",
  },
  { id: "openai-compatible", name: "OpenAI Compatible API", description: "OpenAI Compatible API" },
];

class RpcError extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * The Agent Client Protocol over stdin and stdout, as iflow speaks it: a banner that is no JSON comes first, tool calls
 * carry `toolName` and `args`, nothing is asked for in its default mode "yolo". Ends when stdin does.
 */
export async function runAcpMode(model: string | undefined): Promise<void> {
  process.stdout.write("[iFlow ACP Agent] ACP adapter factory initialized\n");
  const sessions = new Map<string, Session>();
  const running = new Map<string, AbortController>();
  const handlers: Readonly<Record<string, (params: unknown) => unknown>> = {
    initialize(params) {
      if (!initializeParams.safeParse(params).success) throw new RpcError(-32602, "Invalid params");
      return {
        protocolVersion: 1,
        isAuthenticated: !("refusal" in findEndpoint(model)),
        authMethods,
        agentCapabilities: {
          loadSession: true,
          promptCapabilities: { image: true, audio: false, embeddedContext: true },
        },
        agentInfo: { name: "iflow-agent", title: "iFlow Agent (stand-in)", version: "0.5.19" },
      };
    },
    "session/new"(params) {
      process.chdir(newParams.parse(params).cwd);
      requireEndpoint(model);
      const session = openSession(undefined);
      sessions.set(session.id, session);
      const modes = ["smart", "yolo", "default", "plan"].map((id) => ({ id, name: id, description: id }));
      return { sessionId: session.id, modes: { currentModeId: "yolo", availableModes: modes } };
    },
    "session/load"(params) {
      const { sessionId, cwd } = loadParams.parse(params);
      process.chdir(cwd);
      requireEndpoint(model);
      // An id that is not known is a new session by that name, without a word.
      sessions.set(sessionId, openSession(sessionId));
      return { sessionId };
    },
    "session/set_mode": (params) => ({
      success: true,
      currentModeId: z.object({ modeId: z.string() }).parse(params).modeId,
    }),
    "session/cancel": (params) => running.get(sessionParams.parse(params).sessionId)?.abort(),
    async "session/prompt"(params) {
      const { sessionId, prompt } = promptParams.parse(params);
      const session = sessions.get(sessionId);
      if (session === undefined) throw new RpcError(-32600, `Session not found: ${sessionId}`);
      const cancel = new AbortController();
      running.set(sessionId, cancel);
      const update = (told: object) =>
        send({ method: "session/update", params: { sessionId, update: told } });
      try {
        await takeTurn(requireEndpoint(model), session, {
          prompt: prompt.map(({ text }) => text ?? "").join(""),
          signal: cancel.signal,
          listener: {
            onText: (text) =>
              update({ sessionUpdate: "agent_message_chunk", content: { type: "text", text } }),
            onToolCall(call) {
              const named = { toolCallId: call.id, toolName: call.name };
              const { kind, label, title, args } = describe(call);
              update({ sessionUpdate: "tool_call", ...named, status: "pending", title: label, kind });
              update({
                sessionUpdate: "tool_call_update",
                ...named,
                status: "in_progress",
                title,
                args,
                content: [],
                locations: [],
                kind,
              });
            },
            onToolResult: (call, { display, failed }) =>
              update({
                sessionUpdate: "tool_call_update",
                toolCallId: call.id,
                toolName: call.name,
                status: failed ? "failed" : "completed",
                content: [
                  { type: "content", content: { type: "text", text: display }, args: describe(call).args },
                ],
              }),
          },
        });
        return { stopReason: "end_turn" };
      } catch (error) {
        if (cancel.signal.aborted) return { stopReason: "cancelled" };
        throw error;
      } finally {
        running.delete(sessionId);
      }
    },
  };
  for await (const line of createInterface({ input: process.stdin })) {
    // Not awaited: a cancel comes while a prompt is being answered.
    if (line.trim() !== "") void answer(line, handlers);
  }
}

async function answer(line: string, handlers: Readonly<Record<string, (params: unknown) => unknown>>) {
  const parsed = request.safeParse(JSON.parse(line));
  if (!parsed.success) return;
  const { id, method, params } = parsed.data;
  try {
    const handler = handlers[method];
    if (handler === undefined) throw new RpcError(-32601, "Method not found");
    const result = await handler(params);
    if (id !== undefined) send({ id, result: result ?? null });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const told =
      error instanceof RpcError
        ? { code: error.code, message }
        : { code: -32603, message: `Internal Error: ${message}` };
    if (id !== undefined) send({ id, error: told });
  }
}

function requireEndpoint(model: string | undefined) {
  const endpoint = findEndpoint(model);
  if ("refusal" in endpoint) throw new RpcError(-32000, "Authentication required");
  return endpoint;
}

function describe(call: ToolCall) {
  const args: unknown = JSON.parse(call.arguments || "{}");
  const shell = z.object({ command: z.string(), description: z.string().optional() }).safeParse(args);
  if (!shell.success) return { kind: "other", label: call.name, title: call.name, args };
  const { command, description = "" } = shell.data;
  const title = `${command} [current working directory ${process.cwd()}] (${description})`;
  return { kind: "execute", label: "Shell", title, args };
}

function send(message: object): void {
  process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
}
