import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Ajv2020 } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeZip } from "../../lib/archives/zip-fixture.ts";
import { isJsonObject } from "../../lib/json.ts";
import { plainPackage } from "../harness.ts";
import { packageZip } from "../package-zip.ts";
import { answering, refused401, type Scenario } from "../stand-in.ts";
import { type HttpAnswer, type HttpServer, type Sent, startHttp } from "./http-server.ts";

interface Operation {
  operationId: string;
  summary: string;
  tags: string[];
  parameters?: { name: string; in: string; required?: boolean; schema: object }[];
  requestBody?: { content: Record<string, { schema: object }> };
  responses: Record<string, { description: string; content?: Record<string, { schema?: object }> }>;
}
type Document = Record<string, unknown> & {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
};

const scenario: Scenario = [
  { lines: answering({ ok: true, report: "artifacts/r.md" }), files: { "artifacts/r.md": "# R" } },
];

/** A multipart body; a name may bring a file name with it: "files;auth.json". */
function parts(content: Record<string, Buffer>): Sent {
  const pieces = Object.entries(content).flatMap(([key, body]) => {
    const [name, filename = "f"] = key.split(";");
    const file = name === "metadata" ? "" : `; filename="${filename}"`;
    const head = `--b\r\nContent-Disposition: form-data; name="${name}"${file}\r\n\r\n`;
    return [Buffer.from(head), body, Buffer.from("\r\n")];
  });
  return {
    headers: { "content-type": "multipart/form-data; boundary=b" },
    body: Buffer.concat([...pieces, Buffer.from("--b--\r\n")]),
  };
}

/** A job that waits for an answer, or for a login. */
async function waitingFor(status: "waiting_user" | "waiting_auth"): Promise<string> {
  const question = { lines: answering({ __SKILL_DONE__: false, message: "?", ui_hints: {} }) };
  await server.harness.scenario(
    status === "waiting_user" ? [question] : [{ lines: [refused401(1), refused401(2)] }],
  );
  const id = await server.job({ skill_id: "asks", runtime_options: { execution_mode: "interactive" } });
  await server.harness.reaches(id, status);
  return id;
}

let server: HttpServer;
let document: Document;
const ajv = formats.default(new Ajv2020({ strict: false, allErrors: true }));
beforeAll(async () => {
  server = await startHttp({ scenario });
  const modes = { execution_modes: ["auto", "interactive"] };
  await server.harness.writeSkill("asks", plainPackage("asks", modes));
  document = (await server.get("/openapi.json")).body;
  ajv.addSchema(document, "api");
});
afterAll(() => server.close());

const operations = () =>
  Object.entries(document.paths).flatMap(([template, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ template, method, operation })),
  );
const escaped = (part: string) => encodeURIComponent(part.replaceAll("~", "~0").replaceAll("/", "~1"));

/** The answer is one that the operation declares, and its body is as the declared schema says. */
function expectDeclared(method: string, template: string, answer: HttpAnswer): void {
  const where = `${method} ${template} ${answer.status}`;
  const declared = document.paths[template]?.[method.toLowerCase()]?.responses[answer.status];
  expect(declared, where).toBeDefined();
  if (declared?.content === undefined) {
    expect(answer.bytes, where).toHaveLength(0);
    return;
  }
  const type = String(answer.headers["content-type"]).split(";")[0] ?? "";
  const media =
    declared.content[type] ?? declared.content[`${type.split("/")[0]}/*`] ?? declared.content["*/*"];
  expect(media, `${where} ${type}`).toBeDefined();
  if (media?.schema === undefined) return;
  const at = ["paths", template, method.toLowerCase(), "responses", String(answer.status), "content", type];
  const validate = ajv.compile({ $ref: `api#/${[...at, "schema"].map(escaped).join("/")}` });
  expect(validate(answer.body), `${where} ${ajv.errorsText(validate.errors)}`).toBe(true);
}

function lookUp(value: unknown, [name, ...rest]: string[]): unknown {
  if (name === undefined) return value;
  return isJsonObject(value) ? lookUp(value[name], rest) : undefined;
}

describe("/openapi.json", () => {
  test("is OpenAPI 3.1 and describes every route of the table, and no other", () => {
    expect(document).toMatchObject({
      openapi: expect.stringMatching(/^3\.1\.\d$/),
      info: { title: "Skill Runner", version: expect.any(String) },
    });
    const described = operations().map(({ method, template }) => `${method} ${template}`);
    expect(described.sort()).toEqual(
      server.routes.map(({ method, template }) => `${method} ${template}`).sort(),
    );
  });

  test("names each operation once, and says what it is", () => {
    const ids = operations().map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { operation } of operations()) {
      expect(operation.operationId).toMatch(/^[a-z][a-z0-9_]+$/);
      expect(operation.summary).not.toBe("");
      expect(Object.values(operation.responses).every(({ description }) => description !== "")).toBe(true);
    }
    const tags = new Set(operations().flatMap(({ operation }) => operation.tags));
    expect(document.tags).toEqual(expect.arrayContaining([...tags].map((name) => ({ name }))));
  });

  test("declares every parameter of every path as required", () => {
    for (const { template, operation } of operations()) {
      const named = [...template.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      const declared = (operation.parameters ?? []).filter((parameter) => parameter.in === "path");
      expect(declared.map(({ name }) => name).sort(), template).toEqual(named.sort());
      expect(declared.every(({ required }) => required === true)).toBe(true);
    }
  });

  test("has no reference that leads nowhere, and only schemas that compile", () => {
    const text = JSON.stringify(document);
    const references = [...text.matchAll(/"\$ref":"([^"]+)"/g)].map(([, reference]) => reference ?? "");
    expect(references.length).toBeGreaterThan(0);
    for (const reference of references) {
      expect(reference).toMatch(/^#\//);
      const parts = reference
        .slice(2)
        .split("/")
        .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
      expect(lookUp(document, parts), reference).toBeDefined();
    }
    for (const { template, method, operation } of operations()) {
      for (const type of Object.keys(operation.requestBody?.content ?? {})) {
        const at = ["paths", template, method, "requestBody", "content", type, "schema"];
        expect(() => ajv.compile({ $ref: `api#/${at.map(escaped).join("/")}` })).not.toThrow();
      }
    }
  });

  test("accepts a request that the server accepts, and refuses one that it refuses", () => {
    const at = ["paths", "/v1/jobs", "post", "requestBody", "content", "application/json", "schema"];
    const validate = ajv.compile({ $ref: `api#/${at.map(escaped).join("/")}` });
    expect(validate({ skill_id: "s", runtime_options: { no_cache: true, env: { A: "b" } } })).toBe(true);
    expect(validate({ skill_id: "s", client_metadata: { anything: 1 } })).toBe(true);
    expect(validate({ skill_id: "s", prio: 1 })).toBe(false);
    expect(validate({ skill_id: "s", runtime_options: { hard_timeout_seconds: 0 } })).toBe(false);
    expect(validate({ skill_id: "s", runtime_options: { priority: 10 } })).toBe(true);
    expect(validate({ skill_id: "s", runtime_options: { priority: 11 } })).toBe(false);
    expect(validate({ skill_id: "s", runtime_options: { nice: 1 } })).toBe(false);
  });
});

describe("real answers are as declared:", () => {
  test("every route with what it wants", async () => {
    const id = await server.done({ skill_id: "s" });
    const waiting = await server.job({ skill_id: "report-from-file", input: { source: "a.md" } });
    const spare = await server.job({ skill_id: "report-from-file" });
    const zip = makeZip([{ name: "a.md", content: "x" }]);
    const asking = [await waitingFor("waiting_user"), await waitingFor("waiting_user")] as const;
    const unknown = await waitingFor("waiting_auth");
    await server.harness.scenario(scenario);
    const pack = packageZip("fresh", plainPackage("fresh"));
    const install = (await server.send("POST", "/v1/skill-packages/install", parts({ file: pack }))).body;
    const reply = { interaction_id: 1, bindings: [{ slot: "file", file_index: 0 }] };
    // The stand-in has the wanted version already: nothing is fetched.
    const single = { body: { mode: "single", engine: "codex" } };
    const upgrade = (await server.send("POST", "/v1/engines/upgrades", single)).body.request_id;
    while ((await server.get(`/v1/engines/upgrades/${upgrade}`)).body.status !== "succeeded") await sleep(20);
    // An engine at a version the server has no list of models for.
    const claude = join(server.harness.config.npmPrefix, "bin/claude");
    await writeFile(claude, "#!/bin/sh\necho 9.9.9\n", { mode: 0o755 });
    const bodies: Record<string, Sent> = {
      "post /v1/jobs": { body: { skill_id: "s" } },
      "post /v1/engines/upgrades": single,
      "post /v1/engines/{engine}/models/snapshots": { body: { models: [{ id: "m" }] } },
      "post /v1/jobs/{request_id}/upload": parts({ file: zip }),
      "post /v1/jobs/{request_id}/interaction/reply": { body: { interaction_id: 1, response: "yes" } },
      "post /v1/jobs/{request_id}/interaction/reply/files": parts({
        metadata: Buffer.from(JSON.stringify(reply)),
        files: zip,
      }),
      "post /v1/jobs/{request_id}/interaction/auth/import": parts({ "files;auth.json": Buffer.from("{}") }),
      "post /v1/skill-packages/install": parts({
        file: packageZip("other", plainPackage("other")),
      }),
    };
    const ids: Record<string, string> = {
      "post /v1/jobs/{request_id}/interaction/reply": asking[0],
      "post /v1/jobs/{request_id}/interaction/reply/files": asking[1],
      "post /v1/jobs/{request_id}/interaction/auth/import": unknown,
      "get /v1/skill-packages/{request_id}": install.request_id,
      "post /v1/jobs/{request_id}/upload": waiting,
      "delete /v1/jobs/{request_id}": spare,
      "get /v1/engines/upgrades/{request_id}": upgrade,
    };
    // What removes jobs comes last.
    const routes = [...server.routes].sort(
      (a, b) => Number(/cleanup$/.test(a.template)) - Number(/cleanup$/.test(b.template)),
    );
    for (const { method, template } of routes) {
      const key = `${method} ${template}`;
      const path = template
        .replace("{request_id}", ids[key] ?? id)
        .replace("{path}", "artifacts/r.md")
        .replace("{skill_id}", "report-from-file")
        .replace("{engine}", key.endsWith("snapshots") ? "claude" : "codex")
        .replace("{file}", "swagger-ui.css");
      const answer = await server.send(method.toUpperCase(), path, bodies[key]);
      expect([200, 204], `${key} ${answer.bytes.toString().slice(0, 300)}`).toContain(answer.status);
      expectDeclared(method, template, answer);
    }
  });

  test.each<[method: string, template: string, path: string, sent: Sent, status: number]>([
    ["POST", "/v1/jobs", "/v1/jobs", { body: {} }, 422],
    ["POST", "/v1/jobs", "/v1/jobs", { body: "{" }, 400],
    ["POST", "/v1/jobs", "/v1/jobs", { body: { skill_id: "none" } }, 404],
    ["POST", "/v1/jobs", "/v1/jobs", { body: "x", headers: { "content-type": "text/plain" } }, 415],
    ["GET", "/v1/jobs", "/v1/jobs?limit=0", {}, 422],
    ["GET", "/v1/jobs", "/v1/jobs?cursor=x", {}, 400],
    ["GET", "/v1/jobs/{request_id}", "/v1/jobs/x", {}, 404],
    ["GET", "/v1/jobs/{request_id}/artifacts/{path}", "/v1/jobs/x/artifacts/y", {}, 404],
    ["POST", "/v1/jobs/{request_id}/upload", "/v1/jobs/x/upload", {}, 404],
    ["GET", "/v1/skills/{skill_id}", "/v1/skills/none", {}, 404],
    ["GET", "/v1/engines/{engine}", "/v1/engines/hal", {}, 404],
    ["GET", "/v1/engines/{engine}/models", "/v1/engines/hal/models", {}, 404],
    ["GET", "/v1/engines/upgrades/{request_id}", "/v1/engines/upgrades/x", {}, 404],
    ["POST", "/v1/engines/upgrades", "/v1/engines/upgrades", { body: { mode: "single" } }, 422],
    [
      "POST",
      "/v1/engines/upgrades",
      "/v1/engines/upgrades",
      { body: { mode: "single", engine: "hal" } },
      404,
    ],
    ["GET", "/docs/assets/{file}", "/docs/assets/none", {}, 422],
  ])("%s %s refused, for %s", async (method, template, path, sent, status) => {
    const answer = await server.send(method, path, sent);
    expect(answer.status).toBe(status);
    expectDeclared(method, template, answer);
  });

  test("of jobs in every state", async () => {
    const paths = [
      ...["", "/events/history", "/logs", "/files", "/result", "/artifacts", "/bundle"],
      ...["/interaction/pending", "/auth/session", "/chat/history", "/logs/range"],
    ];
    const asking = await waitingFor("waiting_user");
    const unknown = await waitingFor("waiting_auth");
    await server.harness.scenario([{ exitCode: 3 }]);
    const failed = await server.job({ skill_id: "s", runtime_options: { no_cache: true } });
    await server.harness.ended(failed);
    const created = await server.job({ skill_id: "report-from-file" });
    const canceled = await server.job({ skill_id: "report-from-file" });
    await server.send("POST", `/v1/jobs/${canceled}/cancel`);
    for (const id of [failed, created, canceled, asking, unknown])
      for (const path of paths)
        expectDeclared("GET", `/v1/jobs/{request_id}${path}`, await server.get(`/v1/jobs/${id}${path}`));
    expectDeclared("GET", "/v1/jobs", await server.get("/v1/jobs"));
  });
});
