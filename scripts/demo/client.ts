import { createWriteStream } from "node:fs";
import { stat } from "node:fs/promises";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { ZipFile } from "yazl";
import { z } from "zod";

type Say = (line: string) => void;

/** A client of the API as anybody could write it: plain fetch. */
async function ask<S extends z.ZodType>(url: string, schema: S, init?: RequestInit): Promise<z.output<S>> {
  const response = await fetch(url, init);
  const body: unknown = await response.json();
  if (!response.ok) throw new Error(`${url}: ${response.status} ${JSON.stringify(body)}`);
  return schema.parse(body);
}

const accepted = z.object({ request_id: z.string(), status: z.string().nullable() });
const event = z.object({ seq: z.number(), type: z.string(), data: z.record(z.string(), z.unknown()) });

const post = (url: string, body: object) =>
  ask(url, accepted, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });

export async function sendJob(
  server: string,
  file: { name: string; text: string },
  say: Say,
): Promise<string> {
  const body = {
    skill_id: "report-from-file",
    engine: "codex",
    model: "gpt-5.5",
    input: { source: file.name },
    runtime_options: { no_cache: true },
  };
  const { request_id: id } = await post(`${server}/v1/jobs`, body);
  say(`4. POST /v1/jobs -> ${id}; it waits for its file`);
  const zip = new ZipFile();
  zip.addBuffer(Buffer.from(file.text), file.name);
  zip.end();
  const form = new FormData();
  form.set("file", new Blob([await buffer(zip.outputStream)]), "files.zip");
  const { status } = await ask(`${server}/v1/jobs/${id}/upload`, accepted, { method: "POST", body: form });
  say(`   POST /v1/jobs/${id}/upload -> ${status}`);
  return id;
}

/**
 * Prints a job's events as they come, from `from` on, until it has ended or waits for its caller.
 * @returns its status then, and where its next events begin
 */
export async function followJob(
  server: string,
  id: string,
  say: Say,
  from = 1,
): Promise<{ status: string; next: number }> {
  const page = z.object({ events: z.array(event) });
  for (; ; await sleep(100)) {
    const { events } = await ask(`${server}/v1/jobs/${id}/events/history?from_seq=${from}`, page);
    for (const { seq, type, data } of events) {
      from = seq + 1;
      say(`   #${seq} ${type} ${describe(data)}`);
      if (typeof data.terminal === "object" || data.to === "waiting_user")
        return { status: String(data.to), next: from };
    }
  }
}

/** Sends a job that may ask. */
export async function sendTrip(server: string, destination: string, say: Say): Promise<string> {
  const { request_id: id } = await post(`${server}/v1/jobs`, {
    skill_id: "packing-list",
    engine: "codex",
    model: "gpt-5.5",
    input: { destination },
    runtime_options: { execution_mode: "interactive" },
  });
  say(`7. A job that asks. POST /v1/jobs with "execution_mode": "interactive" -> ${id}`);
  return id;
}

/** Answers what a job waits for. */
export async function answerQuestion(server: string, id: string, response: string, say: Say): Promise<void> {
  const question = z.object({ interaction_id: z.number(), prompt: z.string() });
  const asked = z.object({ pending: question.extend({ options: z.array(z.looseObject({})) }) });
  const { pending } = await ask(`${server}/v1/jobs/${id}/interaction/pending`, asked);
  say(`   GET .../interaction/pending -> ${pending.prompt} ${JSON.stringify(pending.options)}`);
  const reply = { interaction_id: pending.interaction_id, response };
  const { status } = await post(`${server}/v1/jobs/${id}/interaction/reply`, reply);
  say(`   POST .../interaction/reply ${JSON.stringify(response)} -> ${status}`);
}

function describe(data: Record<string, unknown>): string {
  if (typeof data.to === "string") return `${data.from} -> ${data.to}`;
  const input = z.object({ command: z.string() }).safeParse(data.input);
  const text = input.success ? input.data.command : String(data.text ?? data.message ?? "");
  const line = text.replaceAll("\n", " ");
  return line.length > 90 ? `${line.slice(0, 90)} ...` : line;
}

export async function showResult(server: string, id: string, step: number, say: Say): Promise<void> {
  const shape = z.object({ result: z.looseObject({ artifacts: z.array(z.string()) }) });
  const { result } = await ask(`${server}/v1/jobs/${id}/result`, shape);
  say(`${step}. The result: ${JSON.stringify(result, null, 2).replaceAll("\n", "\n   ")}`);
  for (const path of result.artifacts) {
    const response = await fetch(`${server}/v1/jobs/${id}/artifacts/${path}`);
    say(
      `   The artifact ${path}:\n      | ${(await response.text()).trimEnd().replaceAll("\n", "\n      | ")}`,
    );
  }
}

export async function saveBundle(server: string, id: string, path: string): Promise<{ bytes: number }> {
  const response = await fetch(`${server}/v1/jobs/${id}/bundle`);
  if (!response.ok || response.body === null)
    throw new Error(`the bundle could not be had: ${response.status}`);
  await pipeline(Readable.fromWeb(response.body), createWriteStream(path));
  return { bytes: (await stat(path)).size };
}
