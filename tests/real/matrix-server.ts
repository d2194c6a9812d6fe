import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { type Endpoint, prepareEndpoint } from "../endpoints.ts";
import { type ModelRequest, startModelServer } from "../model-server/server.ts";
import { type RunningServer, startBuiltServer } from "../server-process.ts";
import { caseScript, wordsOf } from "./matrix-script.ts";
import { skillFiles } from "./matrix-skill.ts";

export interface SubmittedRun {
  id: string;
  /** Words that stand in this run's prompts and in no other's. */
  words: string;
}

/** The built server with the matrix skill, and the scripted model that every given agent is pointed at. */
export interface MatrixServer {
  /** Another one after a crash. */
  readonly server: RunningServer;
  endpoints: ReadonlyMap<string, Endpoint>;
  /** HOME of the server's user. */
  home: string;
  /** @param name the case the model plays */
  submit(engine: string, name: string, more?: object): Promise<SubmittedRun>;
  /** Resolves when the run has this status; rejects when it has ended with another. */
  reaches(run: SubmittedRun, status: string): Promise<void>;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came back
  end(run: SubmittedRun): Promise<{ job: any; result: any }>;
  /** The model calls of one run's own conversation; side calls of the CLI (titles, checks) offer no tools. */
  requestsOf(run: SubmittedRun): ModelRequest[];
  /** kill -9 of the server, and its next start with the same data and home folders. */
  crash(): Promise<void>;
  close(): Promise<void>;
}

const ended = ["succeeded", "failed", "canceled"];
const root = join(import.meta.dirname, "../..");

/** An agent defined for the test: how it is started, and which built-in agent's endpoint and models it has. */
export interface AcpUnderTest {
  definition: { command: string } & Record<string, unknown>;
  endpointOf: string;
}

export async function startMatrixServer(
  agentIds: string[],
  npmPrefix: string,
  acpAgents: Record<string, AcpUnderTest> = {},
  settings: Record<string, string> = {},
): Promise<MatrixServer> {
  await mkdir(join(root, "data"), { recursive: true });
  // Not below /tmp: a sandbox may let tools write there.
  const folder = await mkdtemp(join(root, "data/matrix-"));
  for (const [path, content] of Object.entries(skillFiles)) {
    const target = join(folder, "skills/matrix", path);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, typeof content === "string" ? content : JSON.stringify(content));
  }
  const model = await startModelServer(caseScript);
  const home = join(folder, "home");
  await mkdir(home);
  const endpoints = new Map<string, Endpoint>();
  for (const id of agentIds) endpoints.set(id, await prepareEndpoint(id, model.url, home));
  const definitions: Record<string, object> = {};
  for (const [id, { definition, endpointOf }] of Object.entries(acpAgents)) {
    const endpoint = await prepareEndpoint(endpointOf, model.url, home);
    endpoints.set(id, endpoint);
    definitions[id] = { ...definition, environment: Object.keys(endpoint.env) };
  }
  const acpFile = join(folder, "acp_agents.json");
  await writeFile(acpFile, JSON.stringify({ agents: definitions }));
  const environment = {
    HOME: home,
    SKILL_RUNNER_DATA_DIR: join(folder, "data"),
    SKILL_RUNNER_SKILLS_DIR: join(folder, "skills"),
    NPM_CONFIG_PREFIX: npmPrefix,
    SKILL_RUNNER_ACP_AGENTS: acpFile,
    SKILL_RUNNER_CPU_FACTOR: "2",
    SKILL_RUNNER_MAX_REPAIR_TURNS: "1",
    ...Object.assign({}, ...[...endpoints.values()].map(({ env }) => env)),
    ...settings,
  };
  let server = await startBuiltServer(environment);
  // Every CLI is asked for its version at once, which on a small machine takes longer than a test waits for an answer.
  await fetch(`${server.url}/v1/engines`);
  let runs = 0;
  const jobOf = async ({ id }: SubmittedRun) => (await server.json("GET", `/v1/jobs/${id}`)).body;
  return {
    get server() {
      return server;
    },
    endpoints,
    home,
    async submit(engine, name, more = {}) {
      runs += 1;
      const words = wordsOf(name, runs);
      const [first] = endpoints.get(engine)?.models ?? [];
      const { status, body } = await server.json("POST", "/v1/jobs", {
        skill_id: "matrix",
        engine,
        model: first,
        input: { text: words },
        ...more,
      });
      expect({ status, body }).toMatchObject({ status: 200 });
      return { id: body.request_id, words };
    },
    async reaches(run, status) {
      for (;;) {
        const job = await jobOf(run);
        if (job.status === status) return;
        if (ended.includes(job.status)) expect(job).toMatchObject({ status });
        await sleep(50);
      }
    },
    async end(run) {
      for (;;) {
        const job = await jobOf(run);
        if (ended.includes(job.status)) {
          return { job, result: (await server.json("GET", `/v1/jobs/${run.id}/result`)).body.result };
        }
        await sleep(50);
      }
    },
    requestsOf: ({ words }) =>
      model.requests
        .map((request) => request.model)
        .filter((request) => request !== undefined)
        .filter(
          (request) => request.allText.includes(words) && JSON.stringify(request.raw).includes('"tools"'),
        ),
    async crash() {
      await server.crash();
      server = await startBuiltServer(environment);
    },
    async close() {
      await server.stop();
      await model.close();
      await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    },
  };
}
