import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  expectProblem,
  form,
  type HttpAnswer,
  type HttpServer,
  type Sent,
  startHttp,
} from "./http-server.ts";

let server: HttpServer;
const canary = "canary: nobody may read this";
beforeAll(async () => {
  server = await startHttp();
  await writeFile(join(server.harness.folder, "secret.txt"), canary);
  await mkdir(join(server.harness.config.dataDir, "state"), { recursive: true });
  await writeFile(join(server.harness.config.dataDir, "state", "secret.txt"), canary);
});
afterAll(() => server.close());

/** Parameters as they go on the wire. */
const hostile = [
  "..",
  ".",
  "%2e%2e",
  "..%2f..%2fsecret.txt",
  "%2e%2e%2f%2e%2e%2fsecret.txt",
  "..%252f..%252fsecret.txt",
  "..%5c..%5csecret.txt",
  "%2fetc%2fpasswd",
  "%00",
  "x%00.txt",
  "%0d%0aX-Injected:%201",
  "%ff%fe",
  "%",
  "%zz",
  "%E2%80%AE",
  "%F0%9F%92%A9",
  "ｓｋｉｌｌ".replace(/./gu, encodeURIComponent),
  "__proto__",
  "constructor",
  "~",
  "*",
  "%20",
  "null",
  "-1",
  "0".repeat(26),
  "7ZZZZZZZZZZZZZZZZZZZZZZZZZ",
  "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
  "01M87DK8E7XJ2AH58R08D43THF".toLowerCase(),
  "01M87DK8E7XJ2AH58R08D43THF:x",
  "01M87DK8E7XJ2AH58R08D43THF%0a",
  "A".repeat(65),
  "A".repeat(4_000),
];

const bodies: Record<string, object> = { "/v1/jobs": { body: { skill_id: "s" } } };

async function call(method: string, path: string, sent?: Sent): Promise<HttpAnswer> {
  const upload = path.endsWith("/upload") ? form(Buffer.from("zip")) : {};
  return server.send(method.toUpperCase(), path, sent ?? bodies[path] ?? upload);
}

function expectHarmless(answer: HttpAnswer, what: string): void {
  expect(answer.status, what).toBeLessThan(500);
  expect(answer.bytes.toString("latin1"), what).not.toContain(canary);
  expect(answer.headers, what).not.toHaveProperty("x-injected");
  expect(answer.bytes.toString("latin1"), what).not.toContain(server.harness.folder);
}

describe("whatever stands in the place of a parameter", () => {
  test("no route of the table fails, leaks or makes anything", async () => {
    const before = await server.stored();
    const routes = server.routes.filter((route) => route.template.includes("{"));
    expect(routes.length).toBeGreaterThan(12);
    for (const { method, template } of routes) {
      for (const value of hostile) {
        const path = template.replaceAll(/\{\w+\}/g, value);
        expectHarmless(await call(method, path), `${method} ${path.slice(0, 200)}`);
      }
    }
    expect(await server.stored()).toEqual(before);
    expect(server.faults).toEqual([]);
  });

  test("every endpoint of a job says that there is no such job or route", async () => {
    const routes = server.routes.filter((route) => route.template.startsWith("/v1/jobs/{request_id}"));
    for (const { method, template } of routes) {
      for (const value of hostile) {
        const path = template.replace("{request_id}", value).replace("{path}", "artifacts/a.txt");
        // The one that reads a body before it looks for the job.
        const sent = template.endsWith("/reply") ? { body: { interaction_id: 1, response: "x" } } : undefined;
        const answer = await call(method, path, sent);
        // Resolved by the client's rules before it is routed, so that another endpoint is meant.
        if (/^(\.|%2e){1,2}$/.test(value)) continue;
        expect([answer.status, answer.body.code], `${method} ${path.slice(0, 200)}`).toSatisfy(
          ([status, code]: [number, string]) =>
            status === 404 && ["JOB_NOT_FOUND", "ROUTE_NOT_FOUND"].includes(code),
        );
        expect(answer.headers["content-type"]).toBe("application/problem+json");
      }
    }
  });
});

describe("a path that is no route", () => {
  test.each([
    "/",
    "/v1",
    "/v2/jobs",
    "/v1/jobs/",
    "//v1/jobs",
    "/v1/jobs//result",
    "/v1/jobs/x/y/z",
    "/v1/../secret.txt",
    "/../../../../etc/passwd",
    "/docs/assets/..%2f..%2f..%2fpackage.json",
    "/docs/assets/package.json",
    "/%",
    "/functions/healthz.get.ts",
    "/.git/config",
  ])("%s gets problem+json, whatever the method", async (path) => {
    for (const method of ["GET", "POST", "DELETE", "PUT"]) {
      const answer = await server.send(method, path);
      expectHarmless(answer, path);
      expect(answer.headers["content-type"]).toBe("application/problem+json");
      expect([404, 405, 422]).toContain(answer.status);
    }
  });

  test("names where to look", async () => {
    const answer = await server.get("/v1/nothing");
    expectProblem(answer, 404, "ROUTE_NOT_FOUND");
    expect(answer.body.detail).toContain("/docs");
  });
});

describe("methods", () => {
  const everyMethod = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"];

  test("another one than a route has gets 405 and Allow, on every route", async () => {
    const templates = [...new Set(server.routes.map((route) => route.template))];
    for (const template of templates) {
      const path = template.replace("{path}", "a/b").replaceAll(/\{\w+\}/g, "x");
      const own = server.routes.filter((route) => route.template === template);
      const allowed = own.map((route) => route.method.toUpperCase());
      // POST /v1/jobs/cleanup is a job id to GET and DELETE.
      if (template === "/v1/jobs/cleanup") allowed.push("GET", "DELETE");
      // And POST /v1/engines/upgrades an engine to GET.
      if (template === "/v1/engines/upgrades") allowed.push("GET");
      // And POST /v1/skill-packages/install the id of one to GET.
      if (template === "/v1/skill-packages/install") allowed.push("GET");
      for (const method of everyMethod.filter((candidate) => !allowed.includes(candidate))) {
        const answer = await server.send(method, path);
        expectProblem(answer, 405, "METHOD_NOT_ALLOWED");
        for (const route of own) expect(answer.headers.allow).toContain(route.method.toUpperCase());
        if (own.some((route) => route.method === "get")) expect(answer.headers.allow).toContain("HEAD");
      }
    }
  });

  test("HEAD is answered as GET is, without a body", async () => {
    const gets = server.routes.filter((route) => route.method === "get");
    for (const { template } of gets) {
      const path = template.replace("{path}", "a/b").replaceAll(/\{\w+\}/g, "codex");
      const [head, get] = [await server.send("HEAD", path), await server.get(path)];
      expect([head.status, head.headers["content-type"]], path).toEqual([
        get.status,
        get.headers["content-type"],
      ]);
      expect(head.bytes).toHaveLength(0);
    }
  });
});
