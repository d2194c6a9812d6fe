import { randomUUID } from "node:crypto";
import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import deleteJob from "../functions/v1/jobs/[request_id]/index.delete.ts";
import getJob from "../functions/v1/jobs/[request_id]/index.get.ts";
import getResult from "../functions/v1/jobs/[request_id]/result.get.ts";
import postJob from "../functions/v1/jobs/index.post.ts";
import { type Config, readConfig } from "../runtime/config.ts";
import type { RunnerFunction } from "../runtime/function.ts";
import { type Invocation, invoke } from "../runtime/invoke.ts";
import { createServices, type RunningServices } from "../runtime/services.ts";
import {
  answering,
  giveCue,
  installStandIn,
  type Scenario,
  type StandInTurn,
  setScenario,
} from "./stand-in.ts";

export interface Answer {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came back
  body: any;
}

/** A whole server but for HTTP, in folders of its own, with the stand-in as codex. */
export interface Harness {
  folder: string;
  config: Config;
  services: RunningServices;
  call(fn: RunnerFunction, invocation?: Partial<Invocation>): Promise<Answer>;
  submit(body: object): Promise<Answer>;
  /** The job's status object. */
  status(id: string): Promise<Answer["body"]>;
  /** Waits until the job has ended and gives its status object. */
  ended(id: string): Promise<Answer["body"]>;
  /** Waits until the job is in one of these states and gives its status object. */
  reaches(id: string, ...statuses: string[]): Promise<Answer["body"]>;
  result(id: string): Promise<Answer["body"]>;
  remove(id: string): Promise<Answer>;
  scenario(turns: Scenario): Promise<void>;
  /** Tells the run's stand-in, which waits for that (`onCue`), what it does next. */
  cue(id: string, turn: StandInTurn): Promise<void>;
  /** What the stand-in was called with, in order. */
  calls(): Promise<
    { args: string[]; prompt: string; env: Record<string, string>; cwd: string; pid: number }[]
  >;
  writeSkill(id: string, files: Record<string, string | object>): Promise<void>;
  /** A stop in good order, and a start. @param meanwhile what happens to the data directory before the start */
  restart(meanwhile?: () => Promise<void>): Promise<void>;
  /**
   * A start from what was on disk when the server was lost: nothing that it still does is seen. No write may be under
   * way; a crash in the middle of one takes a process of its own (process.test.ts).
   */
  crash(meanwhile?: () => Promise<void>): Promise<void>;
  close(): Promise<void>;
}

export interface HarnessOptions {
  env?: Record<string, string>;
  scenario?: Scenario;
  /** Leave the engine out. */
  noEngine?: boolean;
}

const { HARNESS_REDIS } = process.env;

/** False where the server under test is one of several (tests/storage/as-a-node.ts): a few things hold for one alone. */
export const isAlone = HARNESS_REDIS === undefined;

function sharedSettings(): Record<string, string> {
  if (isAlone) return {};
  const url = `${HARNESS_REDIS}?prefix=${randomUUID()}`;
  return { SKILL_RUNNER_STORAGE: url, SKILL_RUNNER_QUEUE_URL: url, SKILL_RUNNER_LEASE_SECONDS: "2" };
}

const bundledSkills = join(import.meta.dirname, "..", "skills");

export async function startHarness(options: HarnessOptions = {}): Promise<Harness> {
  const folder = await mkdtemp(join(tmpdir(), "skill-runner-"));
  const prefix = join(folder, "npm");
  const environment = {
    PATH: process.env.PATH,
    HOME: join(folder, "home"),
    SECRET_OF_THE_SERVER: "do not leak",
    ...options.env,
  };
  await mkdir(environment.HOME);
  await cp(bundledSkills, join(folder, "skills"), { recursive: true });
  if (!options.noEngine) await installStandIn(prefix, options.scenario ?? [{ lines: answering({}) }]);
  const config = readConfig(
    {
      SKILL_RUNNER_DATA_DIR: join(folder, "data"),
      SKILL_RUNNER_SKILLS_DIR: join(folder, "skills"),
      NPM_CONFIG_PREFIX: prefix,
      SKILL_RUNNER_CPU_FACTOR: "2",
      // The stand-in writes down what it was called with, and waits for cues, beside itself.
      SKILL_RUNNER_SANDBOX: "off",
      ...sharedSettings(),
      ...environment,
    },
    folder,
  );
  const log = {
    info() {},
    warn() {},
    error: (fields: object, message: string) => console.error(message, fields),
  };
  const start = async () => {
    const services = await createServices({ config, environment, log, openApiDocument: async () => ({}) });
    await services.start();
    return services;
  };
  let services = await start();
  const call: Harness["call"] = async (fn, invocation = {}) =>
    read(await invoke(fn, { services, ...invocation }));
  const reaches = async (id: string, ...statuses: string[]) => {
    for (let tries = 0; tries < 1_000; tries++) {
      const job = await status(id);
      if (statuses.includes(job.status)) return job;
      await sleep(20);
    }
    throw new Error(`job ${id} did not become ${statuses}: ${JSON.stringify(await status(id))}`);
  };
  const status = async (id: string) => (await call(getJob, { params: { request_id: id } })).body;
  return {
    folder,
    config,
    get services() {
      return services;
    },
    call,
    submit: (body) => call(postJob, { body }),
    status,
    ended: (id) => reaches(id, "succeeded", "failed", "canceled"),
    reaches,
    result: async (id) => (await call(getResult, { params: { request_id: id } })).body.result,
    remove: (id) => call(deleteJob, { params: { request_id: id }, method: "DELETE" }),
    scenario: (turns) => setScenario(prefix, turns),
    cue: (id, turn) => giveCue(prefix, id, turn),
    async calls() {
      const text = await readFile(join(prefix, "calls.jsonl"), "utf8").catch(() => "");
      return text
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line));
    },
    async writeSkill(id, files) {
      for (const [name, content] of Object.entries(files)) {
        const path = join(folder, "skills", id, name);
        await mkdir(dirname(path), { recursive: true });
        await writeFile(path, typeof content === "string" ? content : JSON.stringify(content));
      }
    },
    async restart(meanwhile = async () => undefined) {
      await services.stop();
      await meanwhile();
      services = await start();
    },
    async crash(meanwhile = async () => undefined) {
      const { dataDir } = config;
      const lost = join(folder, "lost");
      const isSocket = (path: string) => path.endsWith(".sock");
      await cp(dataDir, lost, { recursive: true, filter: (path) => !isSocket(path) });
      await services.stop();
      await rm(dataDir, { recursive: true });
      await rename(lost, dataDir);
      await meanwhile();
      services = await start();
    },
    async close() {
      await services.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function read(response: Response): Promise<Answer> {
  const isJson = response.headers.get("content-type")?.includes("json") ?? false;
  const body = isJson ? await response.json() : Buffer.from(await response.arrayBuffer());
  return { status: response.status, headers: response.headers, body };
}

/** A skill that takes nothing and answers {"ok": boolean, "report"?: artifact}. */
export const plainPackage = (id: string, more: object = {}) => ({
  "SKILL.md": `---\nname: ${id}\ndescription: A skill for tests.\n---\nAnswer.\n`,
  "assets/runner.json": { id, version: "1.0.0", execution_modes: ["auto"], ...more },
  "assets/output.schema.json": {
    type: "object",
    properties: {
      ok: { type: "boolean" },
      report: { type: "string", "x-type": "artifact", "x-role": "report" },
    },
    required: ["ok"],
    additionalProperties: false,
  },
});
