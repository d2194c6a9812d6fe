import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { commandLines } from "../command-lines.ts";
import { processesOf } from "../marked-processes.ts";
import type { MatrixServer, SubmittedRun } from "./matrix-server.ts";

/** What happens to a run from outside before it ends. */
export type Happening =
  /** Canceled when a process whose command line holds the run's words is there. */
  | { kind: "cancel in tool" }
  /** kill -9 of the server when such a process is there, and its next start. */
  | { kind: "kill server in tool" }
  /** @property asked what of the question its caller must see */
  | { kind: "reply"; asked: object; response: string }
  | { kind: "reply with file"; asked: object; slot: string; message: string; content: string }
  /** A key is handed in when the run waits for a login. */
  | { kind: "key"; value: string };

/** Lets something happen to a run, and checks what its caller sees of that at once. */
export async function happen(matrix: MatrixServer, run: SubmittedRun, happening: Happening): Promise<void> {
  switch (happening.kind) {
    case "cancel in tool":
      return cancelInTool(matrix, run);
    case "kill server in tool":
      return killServerInTool(matrix, run);
    case "reply":
      return reply(matrix, run, happening);
    case "reply with file":
      return replyWithFile(matrix, run, happening);
    case "key":
      return handInKey(matrix, run, happening.value);
  }
}

async function cancelInTool(matrix: MatrixServer, run: SubmittedRun): Promise<void> {
  await toolRuns(run);
  const { body } = await matrix.server.json("POST", `/v1/jobs/${run.id}/cancel`);
  expect(body).toMatchObject({ status: "canceled", accepted: true });
  expect(await toolsOf(run)).toEqual([]);
}

async function killServerInTool(matrix: MatrixServer, run: SubmittedRun): Promise<void> {
  await toolRuns(run);
  await sessionIsKept(matrix, run, "kingfisher");
  const before = await processesOf(run.id);
  expect(before.length).toBeGreaterThan(1);
  await matrix.crash();
  const after = await processesOf(run.id);
  expect(before.filter((pid) => after.includes(pid))).toEqual([]);
  expect(await toolsOf(run)).toEqual([]);
}

/**
 * Waits until the CLI has written down what its tool printed. Some do that a moment after the next tool has begun, and in the
 * sandbox they die with the server: what was only in their memory is lost with them.
 */
async function sessionIsKept({ home }: MatrixServer, run: SubmittedRun, printed: string): Promise<void> {
  const days = join(home, "../data/runs");
  const own = (await readdir(days)).map((day) => join(days, day, run.id, "home")).filter(existsSync);
  const homes = own.length > 0 ? own : [home];
  const isWritten = () => spawnSync("grep", ["-rqsaF", printed, ...homes]).status === 0;
  await expect.poll(isWritten, { timeout: 20_000, interval: 50 }).toBe(true);
}

async function reply(
  matrix: MatrixServer,
  run: SubmittedRun,
  { asked, response }: Happening & { kind: "reply" },
): Promise<void> {
  const interaction_id = await askedOf(matrix, run, asked);
  const answer = await matrix.server.json("POST", `/v1/jobs/${run.id}/interaction/reply`, {
    interaction_id,
    response,
  });
  expect(answer).toMatchObject({ status: 200, body: { status: "queued", accepted: true } });
}

async function replyWithFile(
  matrix: MatrixServer,
  run: SubmittedRun,
  { asked, slot, message, content }: Happening & { kind: "reply with file" },
): Promise<void> {
  const interaction_id = await askedOf(matrix, run, asked);
  const form = new FormData();
  form.append("metadata", JSON.stringify({ interaction_id, message, bindings: [{ slot, file_index: 0 }] }));
  form.append("files", new Blob([content]), "my notes.txt");
  const url = `${matrix.server.url}/v1/jobs/${run.id}/interaction/reply/files`;
  const answer = await fetch(url, { method: "POST", body: form });
  expect({ status: answer.status, body: await answer.json() }).toMatchObject({
    status: 200,
    body: { status: "queued", accepted: true },
  });
}

/** The number of the question that the run waits with. */
async function askedOf(matrix: MatrixServer, run: SubmittedRun, asked: object): Promise<number> {
  await matrix.reaches(run, "waiting_user");
  const { pending } = (await matrix.server.json("GET", `/v1/jobs/${run.id}/interaction/pending`)).body;
  expect(pending).toMatchObject(asked);
  return pending.interaction_id;
}

async function handInKey(matrix: MatrixServer, run: SubmittedRun, value: string): Promise<void> {
  await matrix.reaches(run, "waiting_auth");
  const { body } = await matrix.server.json("GET", `/v1/jobs/${run.id}/interaction/pending`);
  const { auth_session_id } = body.pending_auth;
  const answer = await matrix.server.json("POST", `/v1/jobs/${run.id}/interaction/reply`, {
    mode: "auth",
    auth_session_id,
    submission: { kind: "api_key", value },
  });
  if (answer.status === 422) {
    expect(answer.body.detail).toContain("takes no key");
    await matrix.server.json("POST", `/v1/jobs/${run.id}/cancel`);
  } else expect(answer).toMatchObject({ status: 200, body: { status: "queued", accepted: true } });
}

async function toolRuns(run: SubmittedRun): Promise<void> {
  while ((await toolsOf(run)).length === 0) await sleep(50);
}

/** Command lines of what runs for this run's tools. */
async function toolsOf({ words }: SubmittedRun): Promise<string[]> {
  return (await commandLines()).filter((line) => line.includes(words));
}
