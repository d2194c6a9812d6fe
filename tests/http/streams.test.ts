import { readFileSync } from "node:fs";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { afterEach, describe, expect, test } from "vitest";
import { plainPackage } from "../harness.ts";
import { answering, type Scenario } from "../stand-in.ts";
import { expectProblem, type HttpServer, startHttp } from "./http-server.ts";

let server: HttpServer;
afterEach(() => server.close());

async function start(scenario: Scenario): Promise<void> {
  server = await startHttp({ scenario });
  await server.harness.writeSkill("s", plainPackage("s", { execution_modes: ["auto", "interactive"] }));
}
const fresh = { skill_id: "s", runtime_options: { no_cache: true } };
const answer = answering({ ok: true });

interface Sent {
  event: string;
  id: number | null;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came
  data: any;
}

interface Stream {
  status: number;
  headers: IncomingMessage["headers"];
  /** What has come so far, heartbeats left out. */
  sent: Sent[];
  ended: Promise<void>;
  response: IncomingMessage;
}

function open(path: string, headers: Record<string, string> = {}): Promise<Stream> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ port: server.port, path, headers, agent: false }, (response) => {
      const sent: Sent[] = [];
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (piece: string) => {
        text += piece;
        const frames = text.split("\n\n");
        text = frames.pop() ?? "";
        sent.push(...frames.flatMap(read));
      });
      const ended = new Promise<void>((done) => response.once("close", done));
      resolve({ status: response.statusCode ?? 0, headers: response.headers, sent, ended, response });
    });
    request.once("error", reject);
    request.end();
  });
}

function read(frame: string): Sent[] {
  const field = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(frame)?.[1];
  const event = field("event");
  if (event === undefined || event === "heartbeat") return [];
  const id = field("id");
  return [{ event, id: id === undefined ? null : Number(id), data: JSON.parse(field("data") ?? "null") }];
}
const seqs = (sent: Sent[]) => sent.filter(({ event }) => event === "chat_event").map(({ data }) => data.seq);
const upTo = (last: number) => Array.from({ length: last }, (_, at) => at + 1);
const history = async (id: string) => (await server.get(`/v1/jobs/${id}/events/history`)).body.events;

/** By the schemas in docs/schemas/. */
function expectAsDocumented(schema: string, values: unknown[]): void {
  const file = join(import.meta.dirname, `../../docs/schemas/${schema}.schema.json`);
  const ajv = new Ajv2020({ strict: false });
  addFormats.default(ajv);
  const validate = ajv.compile(JSON.parse(readFileSync(file, "utf8")));
  for (const value of values) expect(validate(value), JSON.stringify([value, validate.errors])).toBe(true);
}

describe("the stream of events", () => {
  test("begins with a snapshot, tells all in order as it comes, and ends with the job", async () => {
    await start([{ lines: answer, waitAfter: 300 }]);
    const id = await server.job(fresh);
    const stream = await open(`/v1/jobs/${id}/events`);
    expect(stream.status).toBe(200);
    expect(stream.headers).toMatchObject({
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
      "x-accel-buffering": "no",
    });
    // The agent's words are there while it is still running.
    await expect
      .poll(() => stream.sent.some(({ data }) => data.type === "assistant.message.intermediate"))
      .toBe(true);
    expect((await server.get(`/v1/jobs/${id}`)).body.status).toBe("running");
    await stream.ended;
    expect(stream.sent[0]).toMatchObject({ event: "snapshot", id: null, data: { cursor: 0 } });
    const events = await history(id);
    expect(stream.sent.slice(1).map(({ data }) => data)).toEqual(events);
    expect(stream.sent.slice(1).map(({ id: number }) => number)).toEqual(upTo(events.length));
    expect(events.at(-1).data.terminal).toMatchObject({ status: "succeeded" });
    expectAsDocumented("event", events);
    expectAsDocumented("snapshot", [stream.sent[0]?.data]);
  });

  test("goes on behind the last event that a client had, by header or cursor; the header wins", async () => {
    await start([{ lines: answer }]);
    const id = await server.done(fresh);
    const last = (await history(id)).length;
    const from = async (path: string, headers = {}) => {
      const stream = await open(`/v1/jobs/${id}/events${path}`, headers);
      await stream.ended;
      return seqs(stream.sent);
    };
    expect(await from("?cursor=3")).toEqual(upTo(last).slice(3));
    expect(await from("", { "last-event-id": "4" })).toEqual(upTo(last).slice(4));
    expect(await from("?cursor=1", { "last-event-id": "5" })).toEqual(upTo(last).slice(5));
    expect(await from(`?cursor=${last}`)).toEqual([]);
  });

  test("of a job that has ended says 204 to a client that had it all: it need not connect again", async () => {
    await start([{ lines: answer }]);
    const id = await server.done(fresh);
    const last = (await history(id)).length;
    const again = await open(`/v1/jobs/${id}/events`, { "last-event-id": String(last) });
    await again.ended;
    expect(again.status).toBe(204);
    expectProblem(
      await server.get(`/v1/jobs/${id}/events`, { "last-event-id": "x" }),
      422,
      "REQUEST_INVALID",
      ["/header/last-event-id"],
    );
  });

  test("broken off again and again gives every event once", async () => {
    await start([
      { lines: [...Array.from({ length: 300 }, () => answer[3] ?? ""), ...answer], waitBefore: 100 },
    ]);
    const id = await server.job(fresh);
    const got: number[] = [];
    for (let tries = 0; tries < 200; tries++) {
      const stream = await open(
        `/v1/jobs/${id}/events`,
        got.length === 0 ? {} : { "last-event-id": `${got.at(-1)}` },
      );
      if (stream.status === 204) break;
      await expect.poll(() => seqs(stream.sent).length, { interval: 2 }).toBeGreaterThan(0);
      got.push(...seqs(stream.sent));
      stream.response.destroy();
      await stream.ended;
    }
    expect(got).toEqual(
      upTo((await server.get(`/v1/jobs/${id}/events/history?limit=1`)).body.cursor_ceiling),
    );
    expect(got.length).toBeGreaterThan(300);
  });

  test("follows a job over a question and its answer", async () => {
    const question = answering({ __SKILL_DONE__: false, message: "Go on?", ui_hints: { kind: "confirm" } });
    await start([{ lines: question }, { lines: answering({ ok: true, __SKILL_DONE__: true }) }]);
    const id = await server.job({ ...fresh, runtime_options: { execution_mode: "interactive" } });
    const stream = await open(`/v1/jobs/${id}/events`);
    await expect.poll(() => stream.sent.some(({ data }) => data.type === "user.input.required")).toBe(true);
    await server.send("POST", `/v1/jobs/${id}/interaction/reply`, {
      body: { interaction_id: 1, response: "yes" },
    });
    await stream.ended;
    expect(seqs(stream.sent)).toEqual(upTo((await history(id)).length));
    expect(stream.sent.at(-1)?.data.data.terminal.status).toBe("succeeded");
  });

  test("reaches two hundred subscribers whole, and one that takes nothing slows nobody", async () => {
    const line = JSON.stringify({
      type: "item.completed",
      item: { id: "r", type: "reasoning", text: "x".repeat(20_000) },
    });
    await start([{ lines: [...Array.from({ length: 400 }, () => line), ...answer], waitBefore: 500 }]);
    const id = await server.job(fresh);
    const slow = await open(`/v1/jobs/${id}/events`);
    slow.response.pause();
    const streams = await Promise.all(
      Array.from({ length: 200 }, () => open(`/v1/jobs/${id}/events?cursor=402`)),
    );
    const before = process.memoryUsage().rss;
    expect((await server.harness.ended(id)).status).toBe("succeeded");
    await Promise.all(streams.map(({ ended }) => ended));
    const last = (await history(id)).length;
    const { cursor_ceiling } = (await server.get(`/v1/jobs/${id}/events/history?limit=1`)).body;
    expect(last).toBeLessThanOrEqual(cursor_ceiling);
    for (const { sent } of streams) expect(seqs(sent)).toEqual(upTo(cursor_ceiling).slice(402));
    // 8 MB were told, and the one that reads nothing holds none of it.
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * 1024 * 1024);
    slow.response.resume();
    await slow.ended;
    expect(seqs(slow.sent)).toEqual(upTo(cursor_ceiling));
  });

  test("ends when the job is deleted, and when the server stops", async () => {
    await start([{ lines: answer, waitBefore: 60_000 }]);
    const upload = await server.job({ skill_id: "report-from-file" });
    const deleted = await open(`/v1/jobs/${upload}/events`);
    expect((await server.send("DELETE", `/v1/jobs/${upload}`)).status).toBe(204);
    await deleted.ended;
    const id = await server.job(fresh);
    const stopped = await open(`/v1/jobs/${id}/events`);
    await server.send("POST", `/v1/jobs/${id}/cancel`);
    await stopped.ended;
    const waiting = await open(`/v1/jobs/${await server.job({ skill_id: "report-from-file" })}/events`);
    await server.harness.services.stop();
    await waiting.ended;
    expect(server.faults).toEqual([]);
  });

  test("ends with the job for a client whose number lies behind the end", async () => {
    await start([{ lines: answer, waitBefore: 300 }]);
    const id = await server.job(fresh);
    const streams = await Promise.all([
      open(`/v1/jobs/${id}/events?cursor=9999`),
      open(`/v1/jobs/${id}/events`, { "last-event-id": "9999" }),
      open(`/v1/jobs/${id}/events`),
    ]);
    await Promise.all(streams.map(({ ended }) => ended));
    const last = (await history(id)).length;
    expect(streams.map(({ sent }) => seqs(sent))).toEqual([[], [], upTo(last)]);
  });

  test("is announced by HEAD with the headers that GET has", async () => {
    await start([{ lines: answer }]);
    const id = await server.done(fresh);
    const head = await server.send("HEAD", `/v1/jobs/${id}/events`);
    const stream = await open(`/v1/jobs/${id}/events`);
    await stream.ended;
    expect(head.status).toBe(200);
    for (const name of ["content-type", "cache-control", "x-accel-buffering"])
      expect([name, head.headers[name]]).toEqual([name, stream.headers[name]]);
  });

  test("of no such job is a 404", async () => {
    await start([]);
    expectProblem(await server.get("/v1/jobs/01ARZ3NDEKTSV4RRFFQ69G5FAV/events"), 404, "JOB_NOT_FOUND");
  });
});

test("the history says how far it goes, and can be asked by time", async () => {
  await start([{ lines: answer }]);
  const id = await server.done(fresh);
  const all = (await server.get(`/v1/jobs/${id}/events/history`)).body;
  const last = all.events.length;
  expect(all).toMatchObject({ count: last, source: "history", cursor_floor: 1, cursor_ceiling: last });
  const middle = all.events[2].ts;
  const since = (await server.get(`/v1/jobs/${id}/events/history?from_ts=${middle}`)).body.events;
  expect(since.map((event: { ts: string }) => event.ts >= middle)).not.toContain(false);
  expect(since.length).toBeGreaterThan(0);
  const until = (await server.get(`/v1/jobs/${id}/events/history?to_ts=${middle}`)).body.events;
  expect(until.length).toBeGreaterThanOrEqual(3);
  const waiting = await server.job({ skill_id: "report-from-file" });
  expect((await server.get(`/v1/jobs/${waiting}/events/history`)).body).toMatchObject({
    count: 0,
    source: "pre_observable",
    cursor_floor: 0,
    cursor_ceiling: 0,
  });
});

test("raw_ref leads to the line of output that an event was read from", async () => {
  const lines = ["no JSON at all, é", ...answer];
  await start([{ lines, stderr: "a complaint\n" }]);
  const id = await server.done(fresh);
  const events = await history(id);
  const message = events.find((event: { type: string }) => event.type === "assistant.message.intermediate");
  const range = async ({ raw_ref: ref }: { raw_ref: Record<string, number> }) => {
    const query = `stream=${ref.stream}&turn=${ref.turn}&byte_from=${ref.byte_from}&byte_to=${ref.byte_to}`;
    return (await server.get(`/v1/jobs/${id}/logs/range?${query}`)).body.chunk;
  };
  expect(JSON.parse(await range(message)).item.type).toBe("agent_message");
  const raw = events.filter((event: { type: string }) => event.type.startsWith("raw."));
  expect(raw.map((event: { type: string; data: object }) => [event.type, event.data])).toEqual(
    expect.arrayContaining([
      ["raw.stdout", { text: "no JSON at all, é" }],
      ["raw.stderr", { text: "a complaint" }],
    ]),
  );
  for (const event of raw) expect(await range(event)).toBe(event.data.text);
  const { body: log } = await server.get(`/v1/jobs/${id}/logs/range?byte_to=17`);
  expect(log).toMatchObject({ chunk: "no JSON at all, ", byte_to: 16, turn: 1, stream: "stdout" });
  expectProblem(await server.get(`/v1/jobs/${id}/logs/range?stream=pty`), 422, "REQUEST_INVALID");
  expectProblem(await server.get(`/v1/jobs/${id}/logs/range?attempt=7`), 422, "REQUEST_INVALID");
  expect((await server.get(`/v1/jobs/${id}/logs/range?attempt=1&byte_from=999999`)).body.chunk).toBe("");
});

test("the chat has one bubble for each thing that was said, streamed and as history", async () => {
  const question = answering(
    { __SKILL_DONE__: false, message: "Which colour?", ui_hints: {} },
    { tool: false },
  );
  await start([
    { lines: question },
    { lines: answering({ ok: "no", __SKILL_DONE__: true }, { tool: false }) },
    { lines: answering({ ok: true, __SKILL_DONE__: true }) },
  ]);
  const id = await server.job({ ...fresh, runtime_options: { execution_mode: "interactive" } });
  const stream = await open(`/v1/jobs/${id}/chat`);
  await server.harness.reaches(id, "waiting_user");
  await server.send("POST", `/v1/jobs/${id}/interaction/reply`, {
    body: { interaction_id: 1, response: "red" },
  });
  await stream.ended;
  const bubbles = stream.sent.slice(1).map(({ data }) => data);
  expect(bubbles.map(({ role, kind, text }) => [role, kind, text])).toEqual([
    ["system", "orchestration_notice", "The agent began."],
    ["assistant", "assistant_message", "Which colour?"],
    ["user", "interaction_reply", "red"],
    ["system", "orchestration_notice", "The agent goes on (attempt 2)."],
    ["assistant", "assistant_revision", '{"ok":"no","__SKILL_DONE__":true}'],
    ["assistant", "assistant_process", "shell: /bin/bash -lc 'echo hello'"],
    ["assistant", "assistant_final", '{"ok":true,"__SKILL_DONE__":true}'],
    ["system", "orchestration_notice", "The job has succeeded."],
  ]);
  expect(bubbles.map(({ seq }) => seq)).toEqual(upTo(8));
  expectAsDocumented("chat-bubble", bubbles);
  expectAsDocumented("event", await history(id));
  expect((await server.get(`/v1/jobs/${id}/chat/history`)).body.events).toEqual(bubbles);
  const rest = await open(`/v1/jobs/${id}/chat`, { "last-event-id": "6" });
  await rest.ended;
  expect(seqs(rest.sent)).toEqual([7, 8]);
  expect((await server.get(`/v1/jobs/${id}/chat/history?from_seq=3&limit=2`)).body.count).toBe(2);
});
