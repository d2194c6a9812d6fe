import { setTimeout as sleep } from "node:timers/promises";
import { makeZip } from "../../lib/archives/zip-fixture.ts";

/** What a client knows of a job of its own: what it asked for, and whether it was told that it was done. */
export interface Known {
  /** The file it sent, when its 2xx came. */
  uploaded: boolean;
  /** `asked`: no answer came. `done`: the server said the job was canceled. */
  cancel: "no" | "asked" | "done";
  remove: "no" | "asked" | "done";
  /** Its question was answered, and the answer accepted. */
  answered: boolean;
  /** How it may end when nothing goes wrong. */
  ends: readonly string[];
}

/** Jobs whose 2xx came, by id. */
export type Ledger = Map<string, Known>;

/** A job that was accepted, and nothing else yet. */
export const untouched = (ends: readonly string[]): Known => ({
  uploaded: false,
  cancel: "no",
  remove: "no",
  answered: false,
  ends,
});

export interface Answer {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came back
  body: any;
}

export const ended: readonly string[] = ["succeeded", "failed", "canceled"];
export const uploadedText = "# Tides\n\nHigh water came at 06:12 with 3.4 m.\n";
const zip = makeZip([{ name: "notes.md", content: uploadedText }]);
const answerTimeoutMs = 30_000;

/** Thrown when no answer came: the server died, or would not talk. */
export class NoAnswer extends Error {}

/** A client that writes down what it was promised. Its methods throw NoAnswer when the server is gone. */
export interface Client {
  ledger: Ledger;
  send(method: string, path: string, init?: RequestInit): Promise<Answer>;
  /** Sends a job; a refusal gives null when `mayRefuse`. */
  submit(body: object, options?: { ends?: readonly string[]; mayRefuse?: boolean }): Promise<string | null>;
  /** Makes jobs its own that it sent and never got an answer for. */
  adopt(): Promise<void>;
  upload(id: string): Promise<Answer>;
  cancel(id: string): Promise<Answer>;
  remove(id: string): Promise<Answer>;
  /** Answers the question that a job waits with; once it was accepted, it may not be asked again. */
  reply(id: string): Promise<void>;
  /** Waits until it is in one of these states. */
  until(id: string, statuses: readonly string[]): Promise<Answer["body"]>;
}

export function createClient(url: string, ledger: Ledger): Client {
  const send: Client["send"] = async (method, path, init = {}) => {
    try {
      const response = await fetch(url + path, {
        method,
        signal: AbortSignal.timeout(answerTimeoutMs),
        ...init,
      });
      const text = await response.text();
      const isJson = response.headers.get("content-type")?.includes("json") ?? false;
      return {
        status: response.status,
        headers: response.headers,
        body: isJson && text !== "" ? JSON.parse(text) : text,
      };
    } catch (error) {
      throw new NoAnswer(`${method} ${path}`, { cause: error });
    }
  };
  const known = (id: string): Known => {
    const job = ledger.get(id);
    if (job === undefined) throw new Error(`job ${id} is not one of ours`);
    return job;
  };
  return {
    ledger,
    send,
    async submit(body, { ends = ["succeeded"], mayRefuse = false } = {}) {
      const answer = await send("POST", "/v1/jobs", json(body));
      if (answer.status !== 200) {
        if (mayRefuse) return null;
        throw unexpected("a job was refused", answer);
      }
      ledger.set(answer.body.request_id, untouched(ends));
      return answer.body.request_id;
    },
    async adopt() {
      const { body } = await send("GET", "/v1/jobs?limit=200");
      for (const { request_id: id } of body.jobs)
        if (!ledger.has(id)) ledger.set(id, untouched(["succeeded"]));
    },
    async upload(id) {
      const form = new FormData();
      form.append("file", new Blob([new Uint8Array(zip)]), "notes.zip");
      const answer = await send("POST", `/v1/jobs/${id}/upload`, { body: form });
      if (answer.status === 200) known(id).uploaded = true;
      return answer;
    },
    async cancel(id) {
      if (known(id).cancel === "no") known(id).cancel = "asked";
      const answer = await send("POST", `/v1/jobs/${id}/cancel`);
      if (answer.status !== 200) throw unexpected("a cancel was refused", answer);
      if (answer.body.accepted) known(id).cancel = "done";
      return answer;
    },
    async remove(id) {
      if (known(id).remove === "no") known(id).remove = "asked";
      const answer = await send("DELETE", `/v1/jobs/${id}`);
      if (answer.status === 204) known(id).remove = "done";
      return answer;
    },
    async reply(id) {
      const { pending } = (await send("GET", `/v1/jobs/${id}/interaction/pending`)).body;
      if (pending === null) return;
      if (known(id).answered) throw new Error(`job ${id} asks what was answered: ${JSON.stringify(pending)}`);
      const reply = { interaction_id: pending.interaction_id, response: "blue", idempotency_key: "once" };
      const answer = await send("POST", `/v1/jobs/${id}/interaction/reply`, json(reply));
      if (answer.status !== 200) throw unexpected("a reply was refused", answer);
      known(id).answered = true;
    },
    async until(id, statuses) {
      const deadline = Date.now() + answerTimeoutMs;
      for (;;) {
        const { status, body } = await send("GET", `/v1/jobs/${id}`);
        if (status !== 200) throw new Error(`job ${id} answers ${status}: ${JSON.stringify(body)}`);
        if (statuses.includes(body.status)) return body;
        if (Date.now() > deadline)
          throw new Error(`job ${id} never became ${statuses}: it is ${body.status}`);
        await sleep(15);
      }
    },
  };
}

function unexpected(what: string, { status, body }: Answer): Error {
  return new Error(`${what}: ${status} ${JSON.stringify(body)}`);
}

/** A request with a JSON body. */
export function json(body: object): RequestInit {
  return { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}

/** Runs what a client does until the server dies under it; other failures are the test's. */
export async function untilDeath(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
  }
}

/** What the agent shall do: `tests/crash/agent.mjs` says which. */
export interface Plan {
  before?: number;
  between?: number;
  after?: number;
  broken?: number;
  leave?: boolean;
}

/** A job whose agent asks one question. */
export const question = { skill_id: "asks", runtime_options: { execution_mode: "interactive" } };

/** Bodies of jobs. A plan goes to the agent in the run's own variables, which must survive a crash as well. */
export const haiku = (prompt: string, plan?: Plan, options: object = {}) => ({
  skill_id: "haiku",
  input: { prompt },
  runtime_options: { ...options, ...(plan === undefined ? {} : { env: { PLAN: JSON.stringify(plan) } }) },
});
export const statistics = (text: string, plan: Plan) => ({
  skill_id: "text-stats",
  input: { text },
  runtime_options: { env: { PLAN: JSON.stringify(plan) } },
});
export const report = (plan?: Plan) => ({
  skill_id: "report-from-file",
  input: { source: "notes.md" },
  runtime_options: plan === undefined ? {} : { env: { PLAN: JSON.stringify(plan) } },
});
