import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { Agent, type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { expect } from "vitest";
import { openDoors } from "../../runtime/doors/index.ts";
import { describeApi } from "../../runtime/openapi.ts";
import { createRouter } from "../../runtime/router.ts";
import { type Route, readRoutes } from "../../runtime/routes.ts";
import { listen } from "../../runtime/server.ts";
import { type Harness, type HarnessOptions, plainPackage, startHarness } from "../harness.ts";

export interface HttpAnswer {
  status: number;
  headers: IncomingMessage["headers"];
  bytes: Buffer;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came back
  body: any;
}

export interface Sent {
  /** A body is JSON unless they say otherwise; "" leaves a header out. */
  headers?: Record<string, string>;
  /** A string or bytes go as they are, an object as JSON. */
  body?: unknown;
  /** Send without Content-Length. */
  chunked?: boolean;
}

/** A server on a free port. Paths are sent as they are given: nothing resolves `..` on the way. */
export interface HttpServer {
  harness: Harness;
  routes: Route[];
  port: number;
  /** What the server logged as errors. */
  faults: string[];
  /** The fields of its warnings. */
  warnings: object[];
  send(method: string, path: string, sent?: Sent): Promise<HttpAnswer>;
  get(path: string, headers?: Record<string, string>): Promise<HttpAnswer>;
  /** Sends a job that must be accepted and gives its id. */
  job(body: object): Promise<string>;
  /** A job run to its end, and its id. */
  done(body: object): Promise<string>;
  upload(id: string, zip: Buffer, part?: string): Promise<HttpAnswer>;
  /** Every stored file with its hash: equal before and after means that nothing was made or changed. */
  stored(): Promise<string[]>;
  close(): Promise<void>;
}

export async function startHttp(options: HarnessOptions = {}): Promise<HttpServer> {
  const harness = await startHarness(options);
  await harness.writeSkill("s", plainPackage("s"));
  const routes = await readRoutes();
  const faults: string[] = [];
  const warnings: object[] = [];
  const log = {
    info() {},
    warn: (fields: object) => warnings.push(fields),
    error: (fields: object, message: string) =>
      faults.push(`${message} ${"err" in fields ? fields.err : ""}`),
  };
  const services = { ...harness.services, openApiDocument: () => describeApi(routes) };
  const router = createRouter({ routes, services, doors: await openDoors(harness.config), log });
  const server = await listen(router.fetch, { ...harness.config, host: "127.0.0.1", port: 0 });
  const send: HttpServer["send"] = (method, path, sent = {}) => exchange(server.port, method, path, sent);
  const job = async (body: object) => {
    const answer = await send("POST", "/v1/jobs", { body });
    expect(answer).toMatchObject({ status: 200 });
    return answer.body.request_id;
  };
  return {
    harness,
    routes,
    port: server.port,
    faults,
    warnings,
    send,
    get: (path, headers = {}) => send("GET", path, { headers }),
    job,
    async done(body) {
      const id = await job(body);
      expect((await harness.ended(id)).status).toBe("succeeded");
      return id;
    },
    upload: (id, zip, part) => send("POST", `/v1/jobs/${id}/upload`, form(zip, part)),
    stored: async () => {
      const folders = ["state", "runs", "incoming", "run_secrets"];
      const listed = await Promise.all(
        folders.map((folder) => filesOf(join(harness.config.dataDir, folder))),
      );
      return listed.flat().sort();
    },
    async close() {
      await server.close(0);
      await harness.close();
    },
  };
}

const boundary = "a-boundary";

/** A multipart body with one file part. */
export function form(content: Buffer, part = "file"): { headers: Record<string, string>; body: Buffer } {
  const head = `--${boundary}\r\nContent-Disposition: form-data; name="${part}"; filename="f.zip"\r\n\r\n`;
  return {
    headers: { "content-type": `multipart/form-data; boundary=${boundary}` },
    body: Buffer.concat([Buffer.from(head), content, Buffer.from(`\r\n--${boundary}--\r\n`)]),
  };
}

/** A refusal as every endpoint tells it. */
export function expectProblem(answer: HttpAnswer, status: number, code: string, pointers?: string[]): void {
  expect({ status: answer.status, body: answer.body }).toMatchObject({
    status,
    body: { status, code, title: expect.any(String), detail: expect.any(String) },
  });
  expect(answer.headers["content-type"]).toBe("application/problem+json");
  expect(answer.body.type).toBe(`urn:skill-runner:problem:${code.toLowerCase().replaceAll("_", "-")}`);
  if (pointers === undefined) return;
  expect((answer.body.errors ?? []).map((error: { pointer: string }) => error.pointer)).toEqual(pointers);
}

/** Opens a request and leaves its body to the caller. */
export function openRequest(
  port: number,
  method: string,
  path: string,
  headers: Record<string, string>,
): ClientRequest {
  const request = httpRequest({ host: "127.0.0.1", port, method, path, headers, agent: new Agent() });
  request.on("error", () => {});
  return request;
}

function exchange(port: number, method: string, path: string, sent: Sent): Promise<HttpAnswer> {
  const { headers, content } = encode(sent);
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: "127.0.0.1", port, method, path, headers, agent: new Agent() });
    let answered = false;
    request.on("response", (response) => {
      answered = true;
      collect(response).then(resolve, reject);
    });
    // A server may answer and close before it has read the whole body.
    request.on("error", (error) => {
      if (!answered) reject(error);
    });
    if (content !== undefined && sent.chunked !== true) request.setHeader("content-length", content.length);
    if (content !== undefined) request.write(content);
    request.end();
  });
}

function encode({ headers = {}, body }: Sent): { headers: Record<string, string>; content?: Buffer } {
  if (body === undefined) return { headers };
  const given = Object.entries({ "content-type": "application/json", ...headers });
  return {
    headers: Object.fromEntries(given.filter(([, value]) => value !== "")),
    content:
      typeof body === "string" || Buffer.isBuffer(body)
        ? Buffer.from(body)
        : Buffer.from(JSON.stringify(body)),
  };
}

async function collect(response: IncomingMessage): Promise<HttpAnswer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  const isJson = (response.headers["content-type"] ?? "").includes("json") && bytes.length > 0;
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    bytes,
    body: isJson ? JSON.parse(bytes.toString()) : bytes.toString("latin1"),
  };
}

async function filesOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return Promise.all(
    entries.map(async (entry) => {
      const path = join(entry.parentPath, entry.name);
      return entry.isFile()
        ? `${path} ${createHash("sha1")
            .update(await readFile(path))
            .digest("hex")}`
        : path;
    }),
  );
}
