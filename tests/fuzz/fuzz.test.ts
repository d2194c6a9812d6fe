import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { Agent } from "node:http";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import pLimit from "p-limit";
import { afterEach, expect, test } from "vitest";
import { createClient, haiku, json, question, report } from "../crash/client.ts";
import { seeded } from "../crash/seeded.ts";
import { makeSite, type Site } from "../crash/site.ts";
import { drawRequest, type FuzzedRequest, type Known, kindOf, openApi } from "./requests.ts";
import { type FuzzedAnswer, send } from "./send.ts";

/** FUZZ_SEED=<number> draws the same requests again; FUZZ_COUNT=<number> draws so many. */
const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31);
const count = Number(process.env.FUZZ_COUNT ?? 20_000);
const atOnce = 12;
/** What Node's own parser, the router and the doors may say to what is no request to an endpoint. */
const elsewhere = [400, 404, 405, 414, 431];

let site: Site;
afterEach(() => site?.remove());

/** Files of the site that no request may touch: all but data, skills, and what the agents of the test write. */
async function outside(): Promise<string[]> {
  const entries = await readdir(site.folder, { recursive: true, withFileTypes: true });
  return entries
    .map((entry) => join(entry.parentPath, entry.name).slice(site.folder.length + 1))
    .filter(
      (path) =>
        !/^(data|skills|tmp|npm\/(agents\.jsonl|lib|\.skill-runner\.lock))(\/|$)/.test(path) &&
        !path.startsWith("home/."),
    )
    .sort();
}

/** What is wrong with an answer, or null. */
function fault(checks: Ajv2020, request: FuzzedRequest, answer: FuzzedAnswer): string | null {
  const { status, type, text } = answer;
  if (status >= 500) return `${status}: ${text.slice(0, 300)}`;
  const isProblem = type === "application/problem+json";
  if (isProblem && text.includes(site.folder)) return `names a path of the server: ${text}`;
  if (!request.isPlain) {
    return status < 400 || elsewhere.includes(status) || isProblem
      ? null
      : `an answer of no kind: ${status} ${type}`;
  }
  const documented = request.operation.responses[String(status)];
  if (documented === undefined)
    return elsewhere.includes(status) && text === ""
      ? null
      : `not documented: ${status} ${text.slice(0, 300)}`;
  const wanted = Object.keys(documented.content ?? {});
  if (status >= 400 && !isProblem) return `no problem+json: ${status} ${type}`;
  if (!wanted.includes("application/json") || !type.startsWith("application/json")) return null;
  const check = checks.getSchema(
    `api#/paths/${pointer(request)}/responses/${status}/content/application~1json/schema`,
  );
  // The document of the API describes all but itself.
  if (check === undefined) return request.template === "/openapi.json" ? null : "its schema was not found";
  return check(JSON.parse(Buffer.from(text, "latin1").toString()))
    ? null
    : `not as documented: ${checks.errorsText(check.errors)}`;
}

const pointer = ({ template, method }: FuzzedRequest) =>
  `${encodeURIComponent(template.replaceAll("~", "~0").replaceAll("/", "~1"))}/${method.toLowerCase()}`;

test(`${count} requests that break the document and worse: no 5xx, no hang, no file outside (FUZZ_SEED=${seed})`, async () => {
  site = await makeSite();
  await mkdir(join(site.folder, "secret"));
  await writeFile(join(site.folder, "secret/key.txt"), "CANARY-1f7c");
  const env = {
    SKILL_RUNNER_MAX_BODY_BYTES: "65536",
    SKILL_RUNNER_MAX_UPLOAD_BYTES: "262144",
    SKILL_RUNNER_UPLOAD_MAX_TOTAL_BYTES: "1000000",
    SKILL_RUNNER_MAX_QUEUE_SIZE: "20",
    // What may be asked to install something shall reach nobody.
    NPM_CONFIG_REGISTRY: "http://127.0.0.1:1/",
    NPM_CONFIG_FETCH_RETRIES: "0",
  };
  const server = await site.launch(env).ready;
  const before = await outside();
  const client = createClient(server.url, new Map());
  const { body: whole } = await client.send("GET", "/openapi.json");
  const document = openApi.parse(whole);
  const checks = new Ajv2020({ strict: false, validateFormats: false });
  checks.addSchema(whole, "api");
  const known: Known = {
    engine: ["codex", "gemini"],
    skill_id: ["haiku", "asks", "fuzzed"],
    path: ["artifacts/report.md", "report.md"],
    file: ["swagger-ui.css"],
  };
  const meet = (template: string, text: string) => {
    const id = /"request_id":"(\w{26})"/.exec(text)?.[1];
    const kind = kindOf(template, "request_id");
    known[kind] ??= [];
    if (id !== undefined && !known[kind].includes(id)) known[kind].push(id);
    if (known[kind].length > 60) known[kind].splice(0, 20);
  };
  for (const job of [haiku("a pond", {}), report(), question, haiku("a lake", { before: 60_000 })])
    meet("/v1/jobs", JSON.stringify((await client.send("POST", "/v1/jobs", json(job))).body));

  const random = seeded(seed);
  const agent = new Agent({ keepAlive: true, maxSockets: atOnce });
  const faults: string[] = [];
  const statuses = new Map<number, number>();
  const limit = pLimit(atOnce);
  const began = Date.now();
  const one = async (n: number) => {
    if (faults.length > 20) return;
    const request = drawRequest(document, random, known);
    const told = `${n}: ${request.method} ${request.path.slice(0, 200)} ${JSON.stringify(request.headers)} ${request.body?.subarray(0, 300).toString("latin1") ?? ""}`;
    try {
      const answer = await send(server.url, request, agent);
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
      meet(request.template, answer.text);
      if (answer.text.includes("CANARY-1f7c")) faults.push(`${told}\n  gives a file that is not its own`);
      const wrong = fault(checks, request, answer);
      if (wrong !== null) faults.push(`${told}\n  ${wrong}`);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
      // The server may close a connection whose request it will not read to its end.
      if (!["EPIPE", "ECONNRESET"].includes(code)) faults.push(`${told}\n  ${code}`);
      else statuses.set(-1, (statuses.get(-1) ?? 0) + 1);
    }
  };
  await limit.map(
    Array.from({ length: count }, (_, n) => n),
    one,
  );
  agent.destroy();
  const told = [...statuses]
    .sort(([a], [b]) => a - b)
    .map(([status, times]) => `${status === -1 ? "broken off" : status}: ${times}`);
  console.log(`${count} requests in ${Date.now() - began} ms (FUZZ_SEED=${seed}): ${told.join(", ")}`);

  expect(faults.slice(0, 10)).toEqual([]);
  expect(statuses.get(-1) ?? 0).toBeLessThan(count / 50);
  expect(server.child.exitCode).toBeNull();
  expect((await client.send("GET", "/readyz")).status).toBe(200);
  expect(await readFile(join(site.folder, "secret/key.txt"), "utf8")).toBe("CANARY-1f7c");
  expect(await server.stop()).toBe(0);
  expect(await outside()).toEqual(before);
  // What it left on disk can be taken up.
  const again = await site.launch(env).ready;
  expect((await createClient(again.url, new Map()).send("GET", "/v1/jobs?limit=200")).status).toBe(200);
});
