import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import cancelJob from "../../functions/v1/jobs/[request_id]/cancel.post.ts";
import getEvents from "../../functions/v1/jobs/[request_id]/events/history.get.ts";
import deleteJob from "../../functions/v1/jobs/[request_id]/index.delete.ts";
import getJob from "../../functions/v1/jobs/[request_id]/index.get.ts";
import getPending from "../../functions/v1/jobs/[request_id]/interaction/pending.get.ts";
import postFiles from "../../functions/v1/jobs/[request_id]/interaction/reply/files.post.ts";
import postReply from "../../functions/v1/jobs/[request_id]/interaction/reply.post.ts";
import getResult from "../../functions/v1/jobs/[request_id]/result.get.ts";
import postUpload from "../../functions/v1/jobs/[request_id]/upload.post.ts";
import listJobs from "../../functions/v1/jobs/index.get.ts";
import postJob from "../../functions/v1/jobs/index.post.ts";
import type { RunnerFunction } from "../../runtime/function.ts";
import { type Answer, type Harness, plainPackage, startHarness } from "../harness.ts";
import type { LoggedEvent } from "./event-chain.ts";
import { queueSize, slots } from "./model.ts";

/** The server that the model is held against: all of it in this process, with a stand-in that waits for its cues. */
export class World {
  readonly harness: Harness;
  /** Results as they were when first read. */
  readonly results = new Map<string, unknown>();

  constructor(harness: Harness) {
    this.harness = harness;
  }

  static async start(): Promise<World> {
    const harness = await startHarness({
      scenario: [{ onCue: true }],
      env: {
        SKILL_RUNNER_MAX_CONCURRENT_HARD_CAP: `${slots}`,
        SKILL_RUNNER_MAX_QUEUE_SIZE: `${queueSize}`,
        SKILL_RUNNER_SHUTDOWN_GRACE_SECONDS: "0",
        // What else the machine does is not the matter here.
        SKILL_RUNNER_CPU_FACTOR: "16",
        SKILL_RUNNER_MEM_RESERVE_MB: "0",
        SKILL_RUNNER_ESTIMATED_MEM_PER_RUN_MB: "1",
      },
    });
    await harness.writeSkill("auto", plainPackage("auto"));
    await harness.writeSkill("asks", plainPackage("asks", { execution_modes: ["interactive"] }));
    await harness.writeSkill("file", { ...plainPackage("file"), "assets/input.schema.json": takesNotes });
    return new World(harness);
  }

  submit(body: object, key: string | null): Promise<Answer> {
    return this.harness.call(postJob, { body, headers: key === null ? {} : { "idempotency-key": key } });
  }

  upload(id: string, parts: Record<string, Buffer>): Promise<Answer> {
    const body = new FormData();
    for (const [name, zip] of Object.entries(parts)) body.append(name, blob(zip), `${name}.zip`);
    return this.#of(postUpload, id, { body });
  }

  reply(id: string, body: object): Promise<Answer> {
    return this.#of(postReply, id, { body });
  }

  replyWithFile(id: string, metadata: object): Promise<Answer> {
    const body = new FormData();
    body.append("metadata", JSON.stringify(metadata));
    body.append("files", new Blob(["hello"]), "notes.md");
    return this.#of(postFiles, id, { body });
  }

  cancel(id: string): Promise<Answer> {
    return this.#of(cancelJob, id, { method: "POST" });
  }

  delete(id: string): Promise<Answer> {
    return this.#of(deleteJob, id, { method: "DELETE" });
  }

  status(id: string): Promise<Answer> {
    return this.#of(getJob, id);
  }

  pending(id: string): Promise<Answer> {
    return this.#of(getPending, id);
  }

  result(id: string): Promise<Answer> {
    return this.#of(getResult, id);
  }

  async events(id: string): Promise<LoggedEvent[]> {
    return (await this.#of(getEvents, id, { query: { limit: "1000" } })).body.events;
  }

  /** Ids of all jobs, newest first. */
  async list(): Promise<string[]> {
    const { body } = await this.harness.call(listJobs, { query: { limit: "200" } });
    return body.jobs.map((job: { request_id: string }) => job.request_id);
  }

  /** What the agents of a job were called with, in order. */
  async calls(id: string) {
    return (await this.harness.calls()).filter(({ env }) => env.SKILL_RUNNER_RUN_ID === id);
  }

  recordPath(id: string): string {
    return join(this.harness.config.dataDir, "state", "active", id);
  }

  /** Lets the time of a job's question run out while the server is down. */
  async letTimePass(id: string): Promise<void> {
    const path = this.recordPath(id);
    const record = JSON.parse(await readFile(path, "utf8"));
    record.pending.expires_at = record.pending.created_at;
    await writeFile(path, JSON.stringify(record));
  }

  /** Records that say of jobs that they have not ended. */
  active(): Promise<string[]> {
    return readdir(join(this.harness.config.dataDir, "state", "active")).catch(() => []);
  }

  #of(fn: RunnerFunction, id: string, more: Parameters<Harness["call"]>[1] = {}): Promise<Answer> {
    return this.harness.call(fn, { params: { request_id: id }, ...more });
  }
}

export const takesNotes = {
  type: "object",
  properties: { notes: { type: "string", "x-input-source": "file" } },
  required: ["notes"],
};

export function expectAnswer(answer: Answer, status: number, body: object): void {
  expect({ status: answer.status, body: answer.body }).toMatchObject({ status, body });
}

/** Waits until the check holds; then what it last failed of is thrown. */
export async function eventually(check: () => Promise<void>): Promise<void> {
  for (const deadline = Date.now() + 15_000; ; ) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await sleep(10);
    }
  }
}

function blob(zip: Buffer): Blob {
  return new Blob([Uint8Array.from(zip)]);
}
