import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { type Endpoint, prepareEndpoint } from "../endpoints.ts";
import { type ModelRequest, startModelServer } from "../model-server/server.ts";
import { type RunningServer, startBuiltServer } from "../server-process.ts";
import { caseScript, skillFiles, wordsOf } from "./matrix-cases.ts";

export interface SubmittedRun {
  id: string;
  /** Words that stand in this run's prompts and in no other's. */
  words: string;
}

/** The built server with the matrix skill, and the scripted model that every given agent is pointed at. */
export interface MatrixServer {
  server: RunningServer;
  endpoints: ReadonlyMap<string, Endpoint>;
  /** @param name the case the model plays */
  submit(engine: string, name: string, more?: object): Promise<SubmittedRun>;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came back
  end(run: SubmittedRun): Promise<{ job: any; result: any }>;
  /** The model calls of one run's own conversation; side calls of the CLI (titles, checks) offer no tools. */
  requestsOf(run: SubmittedRun): ModelRequest[];
  close(): Promise<void>;
}

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
  const server = await startBuiltServer({
    HOME: home,
    SKILL_RUNNER_DATA_DIR: join(folder, "data"),
    SKILL_RUNNER_SKILLS_DIR: join(folder, "skills"),
    NPM_CONFIG_PREFIX: npmPrefix,
    SKILL_RUNNER_ACP_AGENTS: acpFile,
    SKILL_RUNNER_CPU_FACTOR: "2",
    SKILL_RUNNER_MAX_REPAIR_TURNS: "1",
    ...Object.assign({}, ...[...endpoints.values()].map(({ env }) => env)),
  });
  // Every CLI is asked for its version at once, which on a small machine takes longer than a test waits for an answer.
  await fetch(`${server.url}/v1/engines`);
  let runs = 0;
  return {
    server,
    endpoints,
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
    async end({ id }) {
      for (;;) {
        const job = (await server.json("GET", `/v1/jobs/${id}`)).body;
        if (["succeeded", "failed", "canceled"].includes(job.status)) {
          return { job, result: (await server.json("GET", `/v1/jobs/${id}/result`)).body.result };
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
    async close() {
      await server.stop();
      await model.close();
      await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    },
  };
}
