import { randomUUID } from "node:crypto";
import { closeSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { takeTurn } from "./conversation.ts";
import { openSession } from "./session.ts";
import { type Endpoint, findEndpoint } from "./settings.ts";

/** Models that take --thinking; for others each call prints a line. */
const thinkers = /^(glm|deepseek|kimi-k2(-thinking|\.5))/;

export interface TextModeOptions {
  prompt?: string | undefined;
  resume?: string | undefined;
  model?: string | undefined;
  thinking?: boolean | undefined;
  "output-file"?: string | undefined;
}

/** One prompt, answered on stdout as the model speaks. @returns the exit code */
export async function runTextMode(options: TextModeOptions): Promise<number> {
  // Both are there: stdin is not read when -p is given.
  const prompt = options.prompt ?? readFileSync(0, "utf8");
  if (prompt === "") return complain("No input provided via stdin.");
  const endpoint = findEndpoint(options.model);
  if ("refusal" in endpoint) return complain(endpoint.refusal);

  const session = openSession(options.resume);
  if (session.loaded !== null) {
    process.stderr.write(`\nℹ️  Resuming session ${session.id} (${session.loaded} messages loaded)\n`);
  }
  // Made at the start and filled at the end: it stays empty when the turn is cut off.
  const infoFile = openInfoFile(options["output-file"]);
  const started = Date.now();
  const info = await answer(endpoint, session, prompt, options.thinking === true);
  const told = JSON.stringify(
    {
      "session-id": session.id,
      "conversation-id": randomUUID(),
      assistantRounds: info.rounds,
      executionTimeMs: Date.now() - started,
      tokenUsage: { ...info.usage, total: info.usage.input + info.usage.output },
    },
    null,
    2,
  );
  process.stderr.write(`\n<Execution Info>\n${told}\n</Execution Info>\n`);
  if (infoFile !== null) {
    writeSync(infoFile, told);
    closeSync(infoFile);
  }
  return 0;
}

/** A model that cannot be asked is a turn without words, and no reason for an exit code. */
async function answer(
  endpoint: Endpoint,
  session: ReturnType<typeof openSession>,
  prompt: string,
  thinking: boolean,
) {
  let rounds = 0;
  try {
    return await takeTurn(endpoint, session, {
      prompt,
      signal: new AbortController().signal,
      listener: {
        beforeModelCall() {
          rounds += 1;
          if (thinking && !thinkers.test(endpoint.model)) {
            process.stdout.write(`Model ${endpoint.model} does not support thinking mode\n`);
          }
        },
        onText: (text) => process.stdout.write(text),
        onToolResult(call, { output, failed }) {
          if (failed) process.stderr.write(`Error executing tool ${call.name}: ${output}\n`);
        },
      },
    });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    process.stderr.write(`Error when talking to iFlow API Error: ${message}\n`);
    return { rounds, usage: { input: 0, output: 0 } };
  } finally {
    process.stdout.write("\n");
  }
}

function openInfoFile(path: string | undefined): number | null {
  if (path === undefined) return null;
  mkdirSync(dirname(path), { recursive: true });
  return openSync(path, "w");
}

function complain(message: string): number {
  process.stderr.write(`${message}\n`);
  return 1;
}
