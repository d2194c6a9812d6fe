import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { agents } from "../../lib/agents/index.ts";
import { plainPackage } from "../harness.ts";
import { expectProblem, type HttpServer, type Sent, startHttp } from "./http-server.ts";

let server: HttpServer;
let before: string[];
beforeAll(async () => {
  server = await startHttp({ env: { SKILL_RUNNER_MAX_BODY_BYTES: "100000" } });
  await server.harness.writeSkill("talks", plainPackage("talks", { execution_modes: ["interactive"] }));
  const everyEngine = agents.map(({ id }) => id);
  await server.harness.writeSkill(
    "elsewhere",
    plainPackage("elsewhere", { unsupported_engines: everyEngine }),
  );
  await server.harness.writeSkill("broken", { ...plainPackage("broken"), "assets/output.schema.json": "{" });
  before = await server.stored();
});
afterAll(() => server.close());

/** Refused, and nothing was made. */
async function refused(sent: Sent, status: number, code: string, pointers?: string[]) {
  const answer = await server.send("POST", "/v1/jobs", sent);
  expectProblem(answer, status, code, pointers);
  expect(await server.stored()).toEqual(before);
  expect((await server.get("/v1/jobs")).body).toEqual({ jobs: [], next_cursor: null });
  expect(server.faults).toEqual([]);
  return answer.body;
}

type Row = [what: string, body: object, status: number, code: string, pointers?: string[]];
const text = { skill_id: "text-stats", input: { text: "hello" } };
const options = (runtime_options: object) => ({ ...text, runtime_options });
const env = (variables: object) => options({ env: variables });
const at = (name: string) => [`/runtime_options/${name}`];
const many = Object.fromEntries(Array.from({ length: 65 }, (_, n) => [`V${n}`, ""]));

describe("POST /v1/jobs refuses and makes nothing:", () => {
  test.each<Row>([
    ["an unknown skill", { skill_id: "nope" }, 404, "SKILL_NOT_FOUND"],
    ["a skill id that climbs", { skill_id: "../skills/s" }, 404, "SKILL_NOT_FOUND"],
    ["a skill id that is a path", { skill_id: "/etc" }, 404, "SKILL_NOT_FOUND"],
    ["a skill id with NUL", { skill_id: "s\0" }, 404, "SKILL_NOT_FOUND"],
    ["an empty skill id", { skill_id: "" }, 422, "REQUEST_INVALID", ["/skill_id"]],
    ["an overlong skill id", { skill_id: "s".repeat(201) }, 422, "REQUEST_INVALID", ["/skill_id"]],
    ["no skill id", {}, 422, "REQUEST_INVALID", ["/skill_id"]],
    ["null for a skill id", { skill_id: null }, 422, "REQUEST_INVALID", ["/skill_id"]],
    ["an unknown engine", { ...text, engine: "hal" }, 404, "ENGINE_NOT_FOUND"],
    ["a skill that leaves no engine", { skill_id: "elsewhere" }, 409, "SKILL_INVALID"],
    [
      "a temporary skill with a name",
      { ...text, skill_source: "temp_upload" },
      422,
      "REQUEST_INVALID",
      ["/skill_id"],
    ],
    ["an unknown source", { ...text, skill_source: "web" }, 422, "REQUEST_INVALID", ["/skill_source"]],
    ["an unknown key", { ...text, prio: 1 }, 422, "REQUEST_INVALID", ["/prio"]],
    ["an unknown key to be escaped", { ...text, "a/b~c": 1 }, 422, "REQUEST_INVALID", ["/a~1b~0c"]],
    ["a constructor key", { ...text, constructor: 1 }, 422, "REQUEST_INVALID", ["/constructor"]],
    ["an input of another type", { ...text, input: [] }, 422, "REQUEST_INVALID", ["/input"]],
    [
      "an unknown mode of conversation",
      { ...text, client_metadata: { conversation_mode: "chat" } },
      422,
      "REQUEST_INVALID",
      ["/client_metadata/conversation_mode"],
    ],
    ["a missing input", { skill_id: "text-stats" }, 400, "INPUT_INVALID", ["/input/text"]],
    ["an input of a wrong type", { ...text, input: { text: 5 } }, 400, "INPUT_INVALID", ["/input/text"]],
    [
      "an unknown input",
      { ...text, input: { text: "a", constructor: "b" } },
      400,
      "INPUT_INVALID",
      ["/input/constructor"],
    ],
    [
      "two wrong parameters",
      { ...text, parameter: { max_sentences: 0, language: "x" } },
      400,
      "PARAMETER_INVALID",
      ["/parameter/language", "/parameter/max_sentences"],
    ],
    [
      "an unknown parameter",
      { ...text, parameter: { "a/b": 1 } },
      400,
      "PARAMETER_INVALID",
      ["/parameter/a~1b"],
    ],
    [
      "a file input that climbs",
      { skill_id: "report-from-file", input: { source: "../x.md" } },
      400,
      "INPUT_INVALID",
      ["/input/source"],
    ],
    [
      "a file input of another type",
      { skill_id: "report-from-file", input: { source: "x.exe" } },
      400,
      "INPUT_INVALID",
      ["/input/source"],
    ],
    [
      "the interactive mode",
      options({ execution_mode: "interactive" }),
      400,
      "SKILL_EXECUTION_MODE_UNSUPPORTED",
      at("execution_mode"),
    ],
    [
      "a skill that only talks",
      { skill_id: "talks" },
      400,
      "SKILL_EXECUTION_MODE_UNSUPPORTED",
      at("execution_mode"),
    ],
    ["an unknown mode", options({ execution_mode: "fast" }), 400, "OPTION_INVALID", at("execution_mode")],
    [
      "an unknown option",
      options({ nice: 1, "x/y": 2 }),
      400,
      "OPTION_INVALID",
      [...at("nice"), ...at("x~1y")],
    ],
    ["a model like an option", { ...text, model: "--help" }, 400, "MODEL_INVALID", ["/model"]],
    ["a model with NUL", { ...text, model: "a\0b" }, 400, "MODEL_INVALID", ["/model"]],
    ["a wrong provider", { ...text, provider_id: "a b" }, 400, "MODEL_INVALID", ["/provider_id"]],
    ["a wrong effort", { ...text, effort: "much" }, 400, "MODEL_INVALID", ["/effort"]],
    ["a wrong effort in the model", { ...text, model: "gpt-5@much" }, 400, "MODEL_INVALID", ["/effort"]],
    ...[0, 11, 1.5, "5", null].map(
      (priority): Row => [
        `a priority of ${JSON.stringify(priority)}`,
        options({ priority }),
        400,
        "OPTION_INVALID",
        at("priority"),
      ],
    ),
    ...[0, -1, 1.5, "10", null, 604_801].map(
      (seconds): Row => [
        `a hard timeout of ${JSON.stringify(seconds)}`,
        options({ hard_timeout_seconds: seconds }),
        400,
        "OPTION_INVALID",
        at("hard_timeout_seconds"),
      ],
    ),
    ...[
      "PATH",
      "HOME",
      "LD_PRELOAD",
      "OPENAI_BASE_URL",
      "HTTPS_PROXY",
      "CODEX_HOME",
      "UV_CACHE_DIR",
      "SSL_CERT_FILE",
      "XDG_CONFIG_HOME",
      "NODE_OPTIONS",
      "GIT_DIR",
      "SKILL_RUNNER_X",
      "lower",
      "1A",
      "A=B",
      "",
    ].map((name): Row => [`env ${name}`, env({ [name]: "v" }), 400, "OPTION_INVALID", at(`env/${name}`)]),
    ["an env name to be escaped", env({ "A/B": "v" }), 400, "OPTION_INVALID", at("env/A~1B")],
    ["an overlong env name", env({ ["A".repeat(129)]: "" }), 400, "OPTION_INVALID"],
    ["an overlong env value", env({ A: "v".repeat(8193) }), 400, "OPTION_INVALID", at("env/A")],
    ["an env value with NUL", env({ A: "a\0b" }), 400, "OPTION_INVALID", at("env/A")],
    ["an env value that is no text", env({ A: 1 }), 400, "OPTION_INVALID", at("env/A")],
    ["too many env names", env(many), 400, "OPTION_INVALID", at("env")],
    ...["", "a\u0007b", "a\0", "\u001b[31m", "x".repeat(8001)].map(
      (preamble): Row => [
        `the preamble ${JSON.stringify(preamble).slice(0, 20)}`,
        options({ preamble_prompt: preamble }),
        400,
        "OPTION_INVALID",
        at("preamble_prompt"),
      ],
    ),
  ])("%s", async (_what, body, status, code, pointers) => {
    await refused({ body }, status, code, pointers);
  });

  test("a skill whose package is broken, telling what is broken", async () => {
    const problem = await refused({ body: { skill_id: "broken" } }, 409, "SKILL_INVALID");
    expect(JSON.stringify(problem.errors)).toContain("output.schema.json");
  });

  test("no refusal tells an env value", async () => {
    const problem = await refused(
      { body: env({ PATH: "t-secret", A: `t-secret${"v".repeat(9000)}` }) },
      400,
      "OPTION_INVALID",
    );
    expect(JSON.stringify(problem)).not.toContain("t-secret");
  });
});

describe("POST /v1/jobs refuses the body", () => {
  const json = JSON.stringify(text);
  const nested = (depth: number) => `{"skill_id":"s","input":${"[".repeat(depth)}${"]".repeat(depth)}}`;
  test.each<[what: string, sent: Sent, status: number, code: string]>([
    ["that is none", {}, 415, "MEDIA_TYPE_UNSUPPORTED"],
    ["that is empty", { body: "" }, 400, "JSON_INVALID"],
    ["of blanks", { body: " \n" }, 400, "JSON_INVALID"],
    ["that is no JSON", { body: "{skill_id: s}" }, 400, "JSON_INVALID"],
    ["that is cut short", { body: json.slice(0, -1) }, 400, "JSON_INVALID"],
    ["that is null", { body: "null" }, 422, "REQUEST_INVALID"],
    ["that is an array", { body: "[]" }, 422, "REQUEST_INVALID"],
    ["that is a text", { body: '"s"' }, 422, "REQUEST_INVALID"],
    ["with a bare NUL", { body: '{"skill_id":"s\0"}' }, 400, "JSON_INVALID"],
    ["that is no UTF-8", { body: Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]) }, 400, "JSON_INVALID"],
    ["that is UTF-16", { body: Buffer.from(json, "utf16le") }, 400, "JSON_INVALID"],
    ["nested 10,000 deep", { body: nested(10_000) }, 400, "JSON_INVALID"],
    ["with a key __proto__", { body: '{"skill_id":"s","__proto__":{"a":1}}' }, 400, "JSON_INVALID"],
    [
      "with a key __proto__ within",
      { body: '{"skill_id":"s","input":{"__proto__":{"a":1}}}' },
      400,
      "JSON_INVALID",
    ],
    [
      "of another type",
      { body: json, headers: { "content-type": "text/plain" } },
      415,
      "MEDIA_TYPE_UNSUPPORTED",
    ],
    ["of no type", { body: json, headers: { "content-type": "" } }, 415, "MEDIA_TYPE_UNSUPPORTED"],
    ["over the limit", { body: `"${"x".repeat(100_000)}"` }, 413, "BODY_TOO_LARGE"],
    ["over the limit, chunked", { body: `"${"x".repeat(3_000_000)}"`, chunked: true }, 413, "BODY_TOO_LARGE"],
  ])("%s", async (_what, sent, status, code) => {
    await refused(sent, status, code);
  });
});

test("an engine that is not installed is refused, with the way to install it", async () => {
  const bare = await startHttp({ noEngine: true, env: { PATH: "/nowhere" } });
  try {
    const empty = await bare.stored();
    const answer = await bare.send("POST", "/v1/jobs", { body: { skill_id: "s" } });
    expectProblem(answer, 409, "ENGINE_NOT_INSTALLED");
    expect(answer.body.detail).toContain("npm install");
    expect(await bare.stored()).toEqual(empty);
  } finally {
    await bare.close();
  }
});

test("what is unusual and right is taken", async () => {
  const body = {
    skill_id: "s",
    model: "openai/gpt-5.5@high",
    runtime_options: { preamble_prompt: "a\n\tb" },
  };
  const types = ["application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.x+json"];
  for (const type of types) {
    const answer = await server.send("POST", "/v1/jobs", { body, headers: { "content-type": type } });
    expect(answer.status, type).toBe(200);
  }
  const chunked = await server.send("POST", "/v1/jobs", { body, chunked: true });
  expect(chunked.status).toBe(200);
});
