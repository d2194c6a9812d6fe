import { expect } from "vitest";
import { processesOf } from "../marked-processes.ts";
import { expectWholeStory } from "./event-chain.ts";
import type { Job, Model } from "./model.ts";
import { eventually, expectAnswer, type World } from "./world.ts";

const ends = ["succeeded", "failed", "canceled"];

/** Waits until the server is what the model says, and looks at it from outside. */
export async function expectSame(model: Model, world: World): Promise<void> {
  await eventually(async () => {
    const seen = await Promise.all(model.jobs.map((job) => seenOf(world, job)));
    expect(seen).toEqual(model.jobs.map(expectedOf));
    // Who waits for somebody holds no slot.
    expect(world.harness.services.capacity.gate.snapshot()).toMatchObject({
      running: model.running.length,
      queued: model.queued,
    });
    for (const job of model.running) await expectAtWork(world, job);
  });
  for (const job of model.jobs) await expectResult(world, job);
}

async function seenOf(world: World, { id }: Job) {
  const { status, body } = await world.status(id);
  if (status === 404) return { id, status: "deleted" };
  return {
    id,
    status: body.status,
    attempt: body.current_attempt,
    asked: body.interaction_count,
    pending: body.pending_interaction_id,
    login: body.pending_auth_session_id !== null,
    cacheHit: body.cache_hit,
    error: body.error?.code ?? null,
  };
}

function expectedOf({ id, status, attempt, asked, cacheHit, error }: Job) {
  if (status === "deleted") return { id, status };
  return {
    id,
    status,
    attempt,
    asked,
    pending: status === "waiting_user" ? asked : null,
    login: status === "waiting_auth",
    cacheHit,
    error,
  };
}

/** One agent for each attempt, told what it is to be told, in the session that it is to go on with. */
async function expectAtWork(world: World, { id, attempt, resume }: Job): Promise<void> {
  const calls = await world.calls(id);
  expect(calls, `agents of ${id}`).toHaveLength(attempt);
  const last = calls.at(-1);
  expect(last?.args.includes("resume"), `${id} goes on in its session`).toBe(resume?.session ?? false);
  if (resume?.says) expect(last?.prompt).toContain(resume.says);
}

async function expectResult(world: World, { id, status, error }: Job): Promise<void> {
  const answer = await world.result(id);
  if (status === "deleted") return expectAnswer(answer, 404, { code: "JOB_NOT_FOUND" });
  if (!ends.includes(status)) return expectAnswer(answer, 409, { code: "RESULT_NOT_READY" });
  const { result } = answer.body;
  if (!world.results.has(id)) world.results.set(id, result);
  expect(result).toEqual(world.results.get(id));
  expect(result).toMatchObject(
    status === "succeeded"
      ? { status: "success", data: { ok: true }, error: null }
      : { status, data: null, error: { code: error } },
  );
}

/** What holds when every job has ended. */
export async function expectAllEnded(model: Model, world: World): Promise<void> {
  const jobs = model.jobs.filter(({ status }) => status !== "deleted");
  for (const { id, kind, status, asked } of jobs) {
    const events = await world.events(id);
    expectWholeStory(events, kind === "file" || kind === "temporary" ? "created" : "queued", status);
    expect(events.filter(({ type }) => type === "user.input.required")).toHaveLength(asked);
  }
  expect(await world.list()).toEqual(jobs.map(({ id }) => id).reverse());
  expect(await world.active()).toEqual([]);
  expect(await processesOf(...model.jobs.map(({ id }) => id))).toEqual([]);
}
