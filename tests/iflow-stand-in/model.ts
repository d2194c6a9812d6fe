import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import type { Endpoint } from "./settings.ts";

export interface ToolCall {
  id: string;
  name: string;
  arguments: string;
}

export type ChatMessage =
  | { role: "system" | "user"; content: string }
  | { role: "assistant"; content: string; tool_calls?: ToolCall[] }
  | { role: "tool"; tool_call_id: string; content: string };

export interface Answer {
  text: string;
  calls: ToolCall[];
  usage: { input: number; output: number };
}

export interface ModelCallOptions {
  messages: readonly ChatMessage[];
  tools: readonly object[];
  signal: AbortSignal;
  onText(text: string): void;
}

/** Milliseconds before the second and the third attempt; the real CLI waits seconds. */
const retryDelays = [500, 1000];

/** One streamed chat completion. @throws Error with iflow's words when the model cannot be asked. */
export async function askModel(endpoint: Endpoint, options: ModelCallOptions): Promise<Answer> {
  for (const [attempt, delay] of retryDelays.entries()) {
    try {
      return await askOnce(endpoint, options);
    } catch (error) {
      if (!(error instanceof RetryableError)) throw error;
      process.stderr.write(
        `Attempt ${attempt + 1} failed. Retrying with backoff... Error: ${error.message}\n`,
      );
      await sleep(delay, undefined, { signal: options.signal });
    }
  }
  return askOnce(endpoint, options);
}

class RetryableError extends Error {}

async function askOnce({ baseUrl, apiKey, model }: Endpoint, options: ModelCallOptions): Promise<Answer> {
  const response = await fetch(`${baseUrl}/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${apiKey}` },
    body: JSON.stringify({
      model,
      messages: options.messages.map(toWire),
      tools: options.tools,
      stream: true,
      stream_options: { include_usage: true },
    }),
    signal: options.signal,
  }).catch((error: unknown) => {
    if (options.signal.aborted) throw error;
    throw new RetryableError("generate data error: fetch failed");
  });
  if (!response.ok) {
    const message = `generate data error: HTTP error! status: ${response.status}, body: ${await response.text()}`;
    throw response.status === 429 || response.status >= 500
      ? new RetryableError(message)
      : new Error(message);
  }
  return readAnswer(response, options.onText);
}

const chunk = z.object({
  choices: z
    .array(
      z.object({
        delta: z.object({
          content: z.string().nullish(),
          tool_calls: z
            .array(
              z.object({
                index: z.number(),
                id: z.string().optional(),
                function: z.object({ name: z.string().optional(), arguments: z.string().optional() }),
              }),
            )
            .optional(),
        }),
      }),
    )
    .catch([]),
  usage: z.object({ prompt_tokens: z.number(), completion_tokens: z.number() }).nullish(),
});

async function readAnswer(response: Response, onText: (text: string) => void): Promise<Answer> {
  const answer: Answer = { text: "", calls: [], usage: { input: 0, output: 0 } };
  const decoder = new TextDecoder();
  let open = "";
  for await (const bytes of response.body ?? []) {
    const lines = (open + decoder.decode(bytes, { stream: true })).split("\n");
    open = lines.pop() ?? "";
    for (const line of lines) {
      if (line.startsWith("data: {"))
        take(answer, chunk.parse(JSON.parse(line.slice("data: ".length))), onText);
    }
  }
  return answer;
}

function take(
  answer: Answer,
  { choices, usage }: z.infer<typeof chunk>,
  onText: (text: string) => void,
): void {
  if (usage) answer.usage = { input: usage.prompt_tokens, output: usage.completion_tokens };
  for (const { delta } of choices) {
    if (delta.content) {
      answer.text += delta.content;
      onText(delta.content);
    }
    for (const piece of delta.tool_calls ?? []) {
      const call = answer.calls[piece.index] ?? { id: "", name: "", arguments: "" };
      answer.calls[piece.index] = call;
      call.id += piece.id ?? "";
      call.name += piece.function.name ?? "";
      call.arguments += piece.function.arguments ?? "";
    }
  }
}

function toWire(message: ChatMessage): object {
  if (message.role !== "assistant" || message.tool_calls === undefined) return message;
  const calls = message.tool_calls.map(({ id, name, arguments: args }) => ({
    id,
    type: "function",
    function: { name, arguments: args },
  }));
  return { ...message, tool_calls: calls };
}
