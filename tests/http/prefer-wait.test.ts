import { setImmediate } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { answerJob } from "../../functions/_shared/prefer-wait.ts";
import { makeZip } from "../../lib/archives/zip-fixture.ts";
import { plainPackage } from "../harness.ts";
import { answering, type StandInTurn } from "../stand-in.ts";
import { form, type HttpServer, openRequest, startHttp } from "./http-server.ts";

let server: HttpServer;
beforeAll(async () => {
  server = await startHttp({
    scenario: [{ onCue: true }],
    env: { SKILL_RUNNER_SHUTDOWN_GRACE_SECONDS: "0" },
  });
  await server.harness.writeSkill("asks", plainPackage("asks", { execution_modes: ["interactive"] }));
});
afterAll(() => server.close());

const plain = { skill_id: "s", runtime_options: { no_cache: true } };
const asks = { skill_id: "asks", runtime_options: { execution_mode: "interactive" } };
const withFile = { skill_id: "report-from-file", runtime_options: { no_cache: true } };
const zip = makeZip([{ name: "source.md", content: "# Facts\n" }]);
const done: StandInTurn = { lines: answering({ ok: true }) };
const question: StandInTurn = { lines: answering({ __SKILL_DONE__: false, message: "Which colour?" }) };
const report: StandInTurn = {
  lines: answering({ title: "T", key_points: ["a"], report: "artifacts/report.md" }),
  files: { "artifacts/report.md": "# R" },
};

const send = (body: object, prefer?: string) =>
  server.send("POST", "/v1/jobs", { body, headers: prefer === undefined ? {} : { prefer } });
const upload = (id: string, prefer: string) => {
  const { headers, body } = form(zip);
  return server.send("POST", `/v1/jobs/${id}/upload`, { headers: { ...headers, prefer }, body });
};
const newest = async () => (await server.get("/v1/jobs?limit=1")).body.jobs[0];
/** The id of the job that a request in flight makes, once its agent waits for its cue. */
const running = async (): Promise<string> => {
  await expect.poll(async () => (await newest())?.status).toBe("running");
  return (await newest()).request_id;
};
const cancel = (id: string) => server.send("POST", `/v1/jobs/${id}/cancel`);

describe("a caller who says that it waits", () => {
  test("gets the result with the answer when the job ends in time", async () => {
    const answering = send(plain, "wait=20");
    const id = await running();
    await server.harness.cue(id, done);
    const answer = await answering;
    expect(answer).toMatchObject({
      status: 200,
      headers: { "preference-applied": "wait=20" },
      body: {
        request_id: id,
        cache_hit: false,
        status: "succeeded",
        result: { status: "success", data: { ok: true } },
      },
    });
    expect(answer.headers.location).toBeUndefined();
  });

  test("gets the failure of one that fails", async () => {
    const answering = send(plain, "wait=20");
    await server.harness.cue(await running(), { exitCode: 3 });
    expect(await answering).toMatchObject({
      status: 200,
      body: { status: "failed", result: { status: "failed", error: { code: "PROCESS_EXIT_NONZERO" } } },
    });
  });

  test.each(["wait=0", "wait=1"])(
    "hears with %s where the job is, when it does not end in time",
    async (prefer) => {
      const answer = await send(plain, prefer);
      const { request_id: id } = answer.body;
      expect(answer).toMatchObject({
        status: 202,
        headers: { "preference-applied": prefer, location: `/v1/jobs/${id}` },
        body: { cache_hit: false, status: expect.stringMatching(/^(queued|running)$/) },
      });
      expect(answer.body).not.toHaveProperty("result");
      expect((await server.get(answer.headers.location ?? "")).body.request_id).toBe(id);
      await cancel(id);
    },
  );

  test("gets the question of a job that asks", async () => {
    const answering = send(asks, "wait=20");
    const id = await running();
    await server.harness.cue(id, question);
    const answer = await answering;
    expect(answer).toMatchObject({
      status: 200,
      headers: { "preference-applied": "wait=20" },
      body: {
        request_id: id,
        status: "waiting_user",
        pending: { interaction_id: 1, prompt: "Which colour?" },
      },
    });
    expect(answer.body).not.toHaveProperty("result");
    await cancel(id);
  });

  test("waits for no upload: it is asked for it at once", async () => {
    const answer = await send(withFile, "wait=20");
    expect(answer).toMatchObject({
      status: 200,
      headers: { "preference-applied": "wait=20" },
      body: { status: null },
    });
    expect(answer.body).not.toHaveProperty("result");
  });

  test("may say so when it uploads", async () => {
    const id = await server.job(withFile);
    const answering = upload(id, "wait=20");
    await running();
    await server.harness.cue(id, report);
    expect(await answering).toMatchObject({
      status: 200,
      headers: { "preference-applied": "wait=20" },
      body: {
        request_id: id,
        status: "succeeded",
        extracted_files: ["source.md"],
        result: { data: { title: "T" }, artifacts: ["artifacts/report.md"] },
      },
    });
    const slow = await server.job(withFile);
    expect(await upload(slow, "wait=0")).toMatchObject({
      status: 202,
      headers: { location: `/v1/jobs/${slow}` },
      body: { extracted_files: ["source.md"] },
    });
    await cancel(slow);
  });

  test("that is canceled meanwhile hears of it", async () => {
    const answering = send(plain, "wait=20");
    await cancel(await running());
    expect(await answering).toMatchObject({ status: 200, body: { status: "canceled" } });
  });

  test("gets what is in the cache at once", async () => {
    const cacheable = { skill_id: "s", parameter: {} };
    const answering = send(cacheable, "wait=20");
    await server.harness.cue(await running(), done);
    await answering;
    expect(await send(cacheable, "wait=20")).toMatchObject({
      status: 200,
      body: { cache_hit: true, status: "succeeded", result: { data: { ok: true } } },
    });
  });

  test("and goes away leaves the job as it is", async () => {
    const body = Buffer.from(JSON.stringify(plain));
    const headers = {
      "content-type": "application/json",
      "content-length": `${body.length}`,
      prefer: "wait=600",
    };
    const request = openRequest(server.port, "POST", "/v1/jobs", headers);
    request.end(body);
    const id = await running();
    request.destroy();
    await server.harness.cue(id, done);
    expect(await server.harness.ended(id)).toMatchObject({ status: "succeeded", current_attempt: 1 });
    expect(server.faults).toEqual([]);
  });

  test("and goes away is waited for no longer", async () => {
    const request_id = await server.job(plain);
    await server.harness.reaches(request_id, "running");
    const caller = new AbortController();
    const request = new Request("http://localhost/v1/jobs", {
      headers: { prefer: "wait=600" },
      signal: caller.signal,
    });
    const answering = answerJob(request, server.harness.services.runs, { request_id }, null);
    await setImmediate(); // by then it waits
    caller.abort();
    expect((await answering).status).toBe(202);
    expect((await server.get(`/v1/jobs/${request_id}`)).body.status).toBe("running");
    await cancel(request_id);
  });

  test.each(["respond-async, wait=20", 'Wait="20"', "wait = 20 ", "wait=20; foo=bar"])(
    "may write it as %j",
    async (prefer) => {
      const answer = await send(withFile, prefer);
      expect(answer).toMatchObject({ status: 200, headers: { "preference-applied": "wait=20" } });
    },
  );

  test("waits no longer than ten minutes", async () => {
    expect((await send(withFile, "wait=99999")).headers["preference-applied"]).toBe("wait=600");
  });
});

test.each([
  "wait",
  "wait=",
  "wait=soon",
  "wait=-1",
  "wait=1.5",
  "wait=1e9",
  "waits=5",
  "respond-async",
  "foo; wait=5",
  ",",
])("%j is no such preference: the answer comes at once", async (prefer) => {
  const answer = await send(plain, prefer);
  expect(answer).toMatchObject({ status: 200, body: { status: "queued", cache_hit: false } });
  expect(answer.headers["preference-applied"]).toBeUndefined();
  await cancel(answer.body.request_id);
});
