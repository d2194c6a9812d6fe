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
  const headers = { "content-type": "application/json" };
  const { request_id: id } = await ask(`${server}/v1/jobs`, accepted, {
    method: "POST",
    headers,
    body: JSON.stringify(body),
  });
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

/** Prints a job's events as they come. Resolves when it has ended, with whether it succeeded. */
export async function followJob(server: string, id: string, say: Say): Promise<boolean> {
  const page = z.object({ events: z.array(event) });
  for (let from = 1; ; await sleep(100)) {
    const { events } = await ask(`${server}/v1/jobs/${id}/events/history?from_seq=${from}`, page);
    for (const { seq, type, data } of events) {
      from = seq + 1;
      say(`   #${seq} ${type} ${describe(data)}`);
      if (typeof data.terminal === "object") return data.to === "succeeded";
    }
  }
}

function describe(data: Record<string, unknown>): string {
  if (typeof data.to === "string") return `${data.from} -> ${data.to}`;
  const input = z.object({ command: z.string() }).safeParse(data.input);
  const text = input.success ? input.data.command : String(data.text ?? data.message ?? "");
  const line = text.replaceAll("\n", " ");
  return line.length > 90 ? `${line.slice(0, 90)} ...` : line;
}

export async function showResult(server: string, id: string, say: Say): Promise<void> {
  const shape = z.object({ result: z.looseObject({ artifacts: z.array(z.string()) }) });
  const { result } = await ask(`${server}/v1/jobs/${id}/result`, shape);
  say(`5. The result: ${JSON.stringify(result, null, 2).replaceAll("\n", "\n   ")}`);
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
