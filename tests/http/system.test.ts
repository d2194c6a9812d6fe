import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { makeZip } from "../../lib/archives/zip-fixture.ts";
import { answering } from "../stand-in.ts";
import { expectProblem, type HttpServer, openRequest, startHttp } from "./http-server.ts";

let server: HttpServer;
beforeEach(async () => {
  server = await startHttp({
    env: { SKILL_RUNNER_SHUTDOWN_GRACE_SECONDS: "5" },
    scenario: [{ lines: answering({ ok: true }), waitBefore: 600 }],
  });
});
afterEach(() => server.close());

test("ping, health and readiness", async () => {
  for (const method of ["GET", "HEAD"]) {
    const ping = await server.send(method, "/v1/system/ping");
    expect([ping.status, ping.bytes.length]).toEqual([204, 0]);
  }
  expect((await server.get("/healthz")).body).toEqual({ status: "ok" });
  expect(await server.get("/readyz")).toMatchObject({ status: 200, body: { ready: true, reason: null } });
});

test("a server that stops finishes what runs, takes nothing new, and says so", async () => {
  const running = await server.job({ skill_id: "s" });
  const waiting = await server.job({ skill_id: "report-from-file" });
  while ((await server.get(`/v1/jobs/${running}`)).body.status !== "running") await sleep(10);
  const stopping = server.harness.services.stop();
  expect(await server.get("/readyz")).toMatchObject({
    status: 503,
    body: { ready: false, reason: "stopping" },
  });
  expect((await server.get("/healthz")).status).toBe(200);
  const jobs = (await server.get("/v1/jobs")).body.jobs.length;

  const refused = await server.send("POST", "/v1/jobs", { body: { skill_id: "s" } });
  expectProblem(refused, 503, "SHUTTING_DOWN");
  expect(Number(refused.headers["retry-after"])).toBeGreaterThan(0);
  const zip = makeZip([{ name: "source.md", content: "x" }]);
  expectProblem(await server.upload(waiting, zip), 503, "SHUTTING_DOWN");
  expect((await server.get("/v1/jobs")).body.jobs).toHaveLength(jobs);
  expect((await server.get(`/v1/jobs/${waiting}`)).body.status).toBe("created");

  await stopping;
  expect((await server.get(`/v1/jobs/${running}`)).body.status).toBe("succeeded");
});

describe("the docs page", () => {
  test("refers to this server alone, and to what it serves", async () => {
    const page = await server.get("/docs");
    expect(page.headers["content-type"]).toBe("text/html; charset=utf-8");
    const html = page.bytes.toString();
    const references = [...html.matchAll(/(?:src|href|url)\s*[=:]\s*"([^"]+)"/g)].map(([, url]) => url ?? "");
    expect(references).toEqual(
      expect.arrayContaining([
        "/docs/assets/swagger-ui.css",
        "/docs/assets/swagger-ui-bundle.js",
        "/openapi.json",
      ]),
    );
    expect(html).not.toMatch(/https?:|\/\//);
    // Swagger UI shows a badge of a public validator unless it is told not to.
    expect(html).toContain("validatorUrl: null");
    for (const url of references.filter((reference) => !reference.startsWith("data:"))) {
      const asset = await server.get(url);
      expect([asset.status, asset.bytes.length > 1000], url).toEqual([200, true]);
    }
  });

  test.each([
    ["swagger-ui.css", "text/css"],
    ["swagger-ui-bundle.js", "text/javascript"],
  ])("has %s as %s", async (file, type) => {
    const { headers, bytes } = await server.get(`/docs/assets/${file}`);
    expect(headers["content-type"]).toContain(type);
    // A style sheet that loads another from elsewhere would need the internet.
    if (file.endsWith(".css")) expect(bytes.toString()).not.toMatch(/@import|url\(["']?https?:/);
  });
});

test("a client that hangs up in the middle of its body makes nothing and is no fault of the server", async () => {
  const before = await server.stored();
  const headers = { "content-type": "application/json", "content-length": "1000" };
  const request = openRequest(server.port, "POST", "/v1/jobs", headers);
  request.write('{"skill_id":"s"');
  await sleep(100);
  request.destroy();
  await sleep(100);
  expect(await server.stored()).toEqual(before);
  expect(server.faults).toEqual([]);
});

test("a body that is much too large is answered while it is still being sent", async () => {
  const request = openRequest(server.port, "POST", "/v1/jobs", { "content-type": "application/json" });
  const answered = new Promise<number | undefined>((resolve) =>
    request.on("response", (response) => resolve(response.resume().statusCode)),
  );
  const chunk = Buffer.alloc(64 * 1024, 0x20);
  // 4 MiB are allowed; the client means to send without end.
  for (let sent = 0; sent < 80; sent++) request.write(chunk);
  expect(await answered).toBe(413);
  request.destroy();
});

test("two jobs submitted with the same body are two jobs", async () => {
  const body = { skill_id: "s", runtime_options: { no_cache: true } };
  const ids = await Promise.all([server.job(body), server.job(body), server.job(body)]);
  expect(new Set(ids).size).toBe(3);
  for (const id of ids) await server.harness.ended(id);
});
