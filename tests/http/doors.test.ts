import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { connect } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { expectProblem, type HttpServer, startHttp } from "./http-server.ts";

let server: HttpServer;
afterEach(() => server.close());

const secret = (name: string) => `sr_${name}`.padEnd(40, name);
const entry = (name: string) => `${name}:${name}:${createHash("sha256").update(secret(name)).digest("hex")}`;
const keys = ["read", "run", "admin"].map(entry).join(",\n");
const bearer = (name: string) => ({ authorization: `Bearer ${secret(name)}` });
const basic = (user: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`,
});
const withKeys = (more: Record<string, string> = {}) =>
  startHttp({ env: { SKILL_RUNNER_API_KEYS: keys, ...more } });
const open = ["/healthz", "/readyz"];
const pathOf = (template: string) => template.replaceAll(/\{\w+\}/g, "01M8DAFQQ69ND302P15Z01539M");

describe("with API keys", () => {
  test("every endpoint, health aside, wants one", async () => {
    server = await withKeys();
    expect(server.routes.length).toBeGreaterThan(40);
    const before = await server.stored();
    for (const { method, template } of server.routes) {
      const wrong = { authorization: `Bearer ${secret("other")}` };
      for (const headers of [{}, wrong, basic("admin", "admin"), { authorization: secret("admin") }]) {
        const answer = await server.send(method.toUpperCase(), pathOf(template), { headers });
        if (open.includes(template)) expect(answer.status, template).toBe(200);
        else {
          expectProblem(answer, 401, "UNAUTHORIZED");
          expect(answer.headers["www-authenticate"]).toBe('Basic realm="Skill Runner", charset="UTF-8"');
        }
      }
    }
    expectProblem(await server.get("/v1/none"), 401, "UNAUTHORIZED");
    expectProblem(await server.send("PUT", "/v1/jobs"), 401, "UNAUTHORIZED");
    expect(await server.stored()).toEqual(before);
  });

  test("each may do what its scope says, and what is below it", async () => {
    server = await withKeys();
    const before = await server.stored();
    const seen: Record<string, string[]> = { read: [], run: [], admin: [] };
    for (const { method, template, load } of server.routes) {
      const { scope } = await load();
      if (scope === "open") continue;
      seen[scope]?.push(`${method.toUpperCase()} ${template}`);
      const names = ["read", "run", "admin"];
      for (const name of names) {
        if (names.indexOf(name) >= names.indexOf(scope)) continue;
        const answer = await server.send(method.toUpperCase(), pathOf(template), { headers: bearer(name) });
        expectProblem(answer, 403, "FORBIDDEN");
        expect(answer.body.detail).toContain(`scope ${scope}`);
      }
    }
    expect(await server.stored()).toEqual(before);
    expect(seen.read?.filter((route) => !route.startsWith("GET "))).toEqual([]);
    expect(seen.run?.filter((route) => route.startsWith("GET "))).toEqual([]);
    expect(new Set(seen.admin)).toEqual(
      new Set([
        "POST /v1/engines/upgrades",
        "POST /v1/engines/{engine}/models/snapshots",
        "POST /v1/jobs/cleanup",
        "POST /v1/jobs/{request_id}/interaction/auth/import",
        "POST /v1/skill-packages/install",
      ]),
    );
    for (const name of ["read", "run", "admin"])
      expect((await server.get("/v1/jobs", bearer(name))).status).toBe(200);
    const job = { headers: bearer("run"), body: { skill_id: "s" } };
    const { status, body } = await server.send("POST", "/v1/jobs", job);
    expect(status).toBe(200);
    const sent = await server.get(`/v1/jobs/${body.request_id}`, bearer("read"));
    expect(sent.body.sent_by).toBe("run");
  });

  test("a login of the server's own CLI is begun by admin keys alone", async () => {
    server = await withKeys();
    const path = "/v1/jobs/01M8DAFQQ69ND302P15Z01539M/interaction/reply";
    const body = { mode: "auth", selection: { kind: "auth_method", value: "device_code" } };
    expectProblem(await server.send("POST", path, { body, headers: bearer("run") }), 403, "FORBIDDEN");
    expectProblem(await server.send("POST", path, { body, headers: bearer("admin") }), 404, "JOB_NOT_FOUND");
  });

  test("a key comes as Bearer, or as the password of Basic under any name", async () => {
    server = await withKeys();
    const ways = [
      bearer("read"),
      { authorization: `bearer  ${secret("read")}` },
      basic("", secret("read")),
      basic("anybody", secret("read")),
    ];
    for (const headers of ways) expect((await server.get("/v1/skills", headers)).status).toBe(200);
    for (const authorization of [
      "Bearer",
      "Basic",
      "Basic !!",
      "Basic YQ==",
      `Digest ${secret("read")}`,
      "é",
    ])
      expectProblem(await server.get("/v1/skills", { authorization }), 401, "UNAUTHORIZED");
  });

  test("who is not let in is told to the operator, without what he sent as a key", async () => {
    server = await withKeys();
    await server.get("/v1/jobs", { authorization: "Bearer sr_guessed" });
    expect(server.warnings).toEqual([
      { code: "UNAUTHORIZED", peer: expect.stringContaining("127.0.0.1"), method: "GET", path: "/v1/jobs" },
    ]);
  });

  test("any host name is answered to, unless some are named", async () => {
    server = await withKeys();
    const headers = { ...bearer("read"), host: "runner.example" };
    expect((await server.get("/v1/skills", headers)).status).toBe(200);
    await server.close();
    server = await withKeys({ SKILL_RUNNER_ALLOWED_HOSTS: "runner.example" });
    expect((await server.get("/v1/skills", headers)).status).toBe(200);
    expect((await server.get("/v1/skills", bearer("read"))).status).toBe(200);
    expectProblem(
      await server.get("/v1/skills", { ...bearer("read"), host: "other.example" }),
      421,
      "HOST_NOT_ALLOWED",
    );
  });

  test("one that sends too much waits, and the others do not", async () => {
    server = await withKeys({ SKILL_RUNNER_RATE_LIMIT_PER_MINUTE: "3" });
    const ask = (name: string) => server.get("/v1/skills", bearer(name));
    for (let n = 0; n < 3; n++) expect((await ask("read")).status).toBe(200);
    const refused = await ask("read");
    expectProblem(refused, 429, "RATE_LIMITED");
    expect(Number(refused.headers["retry-after"])).toBeGreaterThan(0);
    expect(Number(refused.headers["retry-after"])).toBeLessThanOrEqual(60);
    expect((await ask("run")).status).toBe(200);
    expect((await server.get("/readyz", bearer("read"))).status).toBe(200);
  });

  test("pages of an allowed origin may use the API, preflight and all; others may not", async () => {
    server = await withKeys({ SKILL_RUNNER_ALLOWED_ORIGINS: "https://app.example" });
    const origin = "https://app.example";
    const preflight = await server.send("OPTIONS", "/v1/jobs", {
      headers: {
        origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,idempotency-key",
      },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers).toMatchObject({
      "access-control-allow-origin": origin,
      "access-control-allow-headers": expect.stringContaining("idempotency-key"),
      "access-control-allow-methods": expect.stringContaining("POST"),
    });
    const answer = await server.get("/v1/skills", { ...bearer("read"), origin });
    expect(answer).toMatchObject({ status: 200, headers: { "access-control-allow-origin": origin } });
    const refused = await server.get("/v1/skills", { origin });
    expectProblem(refused, 401, "UNAUTHORIZED");
    expect(refused.headers["access-control-allow-origin"]).toBe(origin);
    const stranger = await server.get("/v1/skills", { ...bearer("read"), origin: "https://evil.example" });
    expectProblem(stranger, 403, "ORIGIN_NOT_ALLOWED");
    expect(stranger.headers["access-control-allow-origin"]).toBeUndefined();
  });

  test("an allowed origin changes nothing for what has none", async () => {
    server = await withKeys({ SKILL_RUNNER_ALLOWED_ORIGINS: "https://app.example" });
    const origin = "https://app.example";
    for (const headers of [bearer("admin"), { ...bearer("admin"), origin }]) {
      expectProblem(await server.get("/v1/none", headers), 404, "ROUTE_NOT_FOUND");
      const put = await server.send("PUT", "/v1/jobs", { headers });
      expectProblem(put, 405, "METHOD_NOT_ALLOWED");
      expect(put.headers.allow).toBe("GET, HEAD, POST");
      const head = await server.send("HEAD", "/docs/assets/swagger-ui.css", { headers });
      expect([head.status, head.bytes.length]).toEqual([200, 0]);
      expect((await server.get("/docs/assets/swagger-ui.css", headers)).bytes.length).toBeGreaterThan(1_000);
    }
    expectProblem(await server.send("OPTIONS", "/v1/jobs"), 401, "UNAUTHORIZED");
    expect(server.faults).toEqual([]);
  });

  test("the script that makes one gives an entry that lets it in", async () => {
    const script = join(import.meta.dirname, "../../scripts/api-key.mjs");
    const printed = execFileSync(process.execPath, [script, "ci", "read"], { encoding: "utf8" });
    const [key, made] = printed.split("\n").map((line) => line.split(/\s+/).at(-1) ?? "");
    expect(made).not.toContain(key);
    server = await startHttp({ env: { SKILL_RUNNER_API_KEYS: made ?? "" } });
    expect((await server.get("/v1/jobs", { authorization: `Bearer ${key}` })).status).toBe(200);
    expectProblem(await server.get("/v1/jobs"), 401, "UNAUTHORIZED");
  });
});

describe("without keys", () => {
  test("a name that only somebody else's name server knows is refused (DNS rebinding)", async () => {
    server = await startHttp();
    for (const host of ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:8000"])
      expect((await server.get("/v1/skills", { host })).status, host).toBe(200);
    for (const host of [
      "evil.example",
      "evil.example:8000",
      "localhost.evil.example",
      "127.0.0.1.evil.example",
    ])
      expectProblem(await server.get("/v1/skills", { host }), 421, "HOST_NOT_ALLOWED");
    // Whoever probes health asks for an address that only he knows.
    expect((await server.get("/healthz", { host: "10.1.2.3:8000" })).status).toBe(200);
  });

  test("a page of another origin cannot send anything (CSRF)", async () => {
    server = await startHttp();
    const before = await server.stored();
    for (const origin of ["https://evil.example", "null", "http://localhost:3000", "http://127.0.0.1"]) {
      const sent = { headers: { origin, "content-type": "text/plain" }, body: '{"skill_id":"s"}' };
      expectProblem(await server.send("POST", "/v1/jobs", sent), 403, "ORIGIN_NOT_ALLOWED");
    }
    expect(await server.stored()).toEqual(before);
    const own = `127.0.0.1:${server.port}`;
    expect((await server.get("/v1/skills", { host: own, origin: `http://${own}` })).status).toBe(200);
  });

  test("what a proxy brings from elsewhere is refused", async () => {
    server = await startHttp();
    const from = (address: string) => server.get("/v1/skills", { "x-forwarded-for": address });
    expectProblem(await from("203.0.113.7, 127.0.0.1"), 403, "FORBIDDEN");
    expect((await from("127.0.0.1")).status).toBe(200);
  });
});

test("answers carry what keeps browsers from taking them for pages", async () => {
  server = await startHttp();
  for (const path of ["/v1/skills", "/v1/none", "/healthz", "/v1/jobs?limit=x"]) {
    const { headers } = await server.get(path);
    expect(headers, path).toMatchObject({
      "x-content-type-options": "nosniff",
      "content-security-policy": expect.stringContaining("sandbox"),
      "cross-origin-resource-policy": "same-origin",
      "cache-control": "no-store",
    });
  }
  const page = await server.get("/docs");
  const [, script = ""] = /<script>(.+)<\/script>/.exec(page.bytes.toString()) ?? [];
  const hash = createHash("sha256").update(script).digest("base64");
  expect(page.headers["content-security-policy"]).toContain(`script-src 'self' 'sha256-${hash}'`);
  expect(page.headers["content-security-policy"]).not.toContain("sandbox");
});

test("a GET that brings a body is answered, and let go of: nobody reads for as long as it may come", async () => {
  server = await startHttp();
  const socket = connect(server.port, "127.0.0.1");
  let said = "";
  socket.on("data", (chunk) => {
    said += chunk;
  });
  socket.on("error", () => undefined);
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.write("GET /v1/skills HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000000\r\n\r\n");
  await closed;
  expect(said).toContain("200 OK");
  expect(said.toLowerCase()).toContain("connection: close");
});

test.each([
  ["its headers", "GET /v1/skills HTTP/1.1\r\nHost: localhost\r\nX-Slow: "],
  [
    "its body",
    "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{",
  ],
])("a client that sends %s byte by byte is let go of (slowloris)", async (_, begin) => {
  server = await startHttp({ env: { SKILL_RUNNER_REQUEST_TIMEOUT_SECONDS: "1" } });
  const socket = connect(server.port, "127.0.0.1");
  let said = "";
  socket.on("data", (chunk) => {
    said += chunk;
  });
  socket.on("error", () => undefined);
  socket.write(begin);
  const drip = setInterval(() => socket.write("a"), 100);
  const began = Date.now();
  await new Promise((resolve) => socket.once("close", resolve));
  clearInterval(drip);
  expect(Date.now() - began).toBeLessThan(10_000);
  expect(said).toContain("408 Request Timeout");
  expect((await server.get("/v1/skills")).status).toBe(200);
});
