import { randomUUID } from "node:crypto";
import { appendFileSync, mkdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { z } from "zod";
import type { ChatMessage } from "./model.ts";

const block = z.discriminatedUnion("type", [
  z.object({ type: z.literal("text"), text: z.string() }),
  z.object({ type: z.literal("tool_use"), id: z.string(), name: z.string(), input: z.unknown() }),
  z.object({
    type: z.literal("tool_result"),
    tool_use_id: z.string(),
    content: z.object({ functionResponse: z.object({ response: z.object({ output: z.string() }) }) }),
  }),
]);
type Block = z.infer<typeof block>;
const line = z.object({
  uuid: z.string(),
  type: z.enum(["user", "assistant"]),
  message: z.object({ content: z.union([z.string(), z.array(block)]) }),
});

/**
 * One conversation as iflow keeps it: lines of JSON below the home folder, by working directory, with the messages
 * in Anthropic's form. An id that it does not know becomes a new session with another id, without a word.
 */
export function openSession(askedId: string | undefined) {
  const known = askedId === undefined ? null : read(askedId);
  const id = known === null ? `session-${randomUUID()}` : (askedId ?? "");
  const messages: ChatMessage[] = known ?? [];
  let parentUuid: string | null = null;
  mkdirSync(dirname(fileOf(id)), { recursive: true });
  return {
    id,
    messages,
    /** How many messages were there before; null for a new session. */
    loaded: known === null ? null : known.length,
    add(message: ChatMessage): void {
      messages.push(message);
      const uuid = randomUUID();
      const stored = {
        uuid,
        parentUuid,
        sessionId: id,
        timestamp: new Date().toISOString(),
        type: message.role === "assistant" ? "assistant" : "user",
        isSidechain: false,
        userType: "external",
        message: { role: message.role === "assistant" ? "assistant" : "user", content: toBlocks(message) },
        cwd: process.cwd(),
        gitBranch: null,
        version: "1.0.0",
      };
      appendFileSync(fileOf(id), `${JSON.stringify(stored)}\n`);
      parentUuid = uuid;
    },
  };
}
export type Session = ReturnType<typeof openSession>;

function fileOf(id: string): string {
  const project = process.cwd().replaceAll(/[^A-Za-z0-9]/g, "-");
  return join(homedir(), ".iflow/projects", project, `${id}.jsonl`);
}

function read(id: string): ChatMessage[] | null {
  try {
    const lines = readFileSync(fileOf(id), "utf8").split("\n");
    return lines.filter((text) => text !== "").flatMap((text) => toMessages(line.parse(JSON.parse(text))));
  } catch {
    return null;
  }
}

function toBlocks(message: ChatMessage): string | Block[] {
  if (message.role === "tool") {
    const functionResponse = { response: { output: message.content } };
    return [{ type: "tool_result", tool_use_id: message.tool_call_id, content: { functionResponse } }];
  }
  if (message.role !== "assistant") return message.content;
  const uses = (message.tool_calls ?? []).map(
    ({ id, name, arguments: args }): Block => ({
      type: "tool_use",
      id,
      name,
      input: JSON.parse(args || "{}"),
    }),
  );
  return [...(message.content === "" ? [] : [{ type: "text", text: message.content } as const]), ...uses];
}

function toMessages({ type, message: { content } }: z.infer<typeof line>): ChatMessage[] {
  if (typeof content === "string") return [{ role: "user", content }];
  if (type === "user") {
    return content.flatMap((part): ChatMessage[] =>
      part.type === "tool_result"
        ? [
            {
              role: "tool",
              tool_call_id: part.tool_use_id,
              content: part.content.functionResponse.response.output,
            },
          ]
        : [],
    );
  }
  const text = content.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("");
  const calls = content.flatMap((part) =>
    part.type === "tool_use" ? [{ id: part.id, name: part.name, arguments: JSON.stringify(part.input) }] : [],
  );
  return [{ role: "assistant", content: text, ...(calls.length === 0 ? {} : { tool_calls: calls }) }];
}
