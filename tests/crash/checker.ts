import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { markedProcesses } from "../marked-processes.ts";
import { type Answer, type Client, ended, type Known, uploadedText } from "./client.ts";
import { type LoggedEvent, logFaults, ofJob } from "./event-chain.ts";
import type { AgentMark, Site } from "./site.ts";

/** States a job may rest in with nobody at work on it. */
const waiting = ["created", "waiting_user", "waiting_auth"];
const settleMs = 90_000;

interface Job {
  id: string;
  status: Answer["body"];
  events: LoggedEvent[];
}

/**
 * Looks at a server after its last restart, from outside only: HTTP, /proc and the disk. Waits until every job has
 * ended, or waits for its caller, and says in words everything that breaks what docs/reliability.md promises.
 */
export async function faultsOf(client: Client, site: Site): Promise<string[]> {
  const stuck = await settled(client);
  if (stuck.length > 0) return stuck;
  const marks = await site.marks();
  const listed = await allJobs(client);
  const faults = [...listFaults(listed, client.ledger), ...(await goneFaults(client, listed))];
  for (const id of listed) {
    const job = await look(client, id);
    const about = [
      ...logFaults(job.status, job.events),
      ...(await rawLogFaults(site, job)),
      ...endFaults(job, client.ledger.get(id)),
      ...(await resultFaults(client, job)),
      ...agentFaults(
        job,
        marks.filter((mark) => mark.run === id),
      ),
    ];
    faults.push(...about.map((fault) => `job ${id}: ${fault}`));
  }
  const ours = new Set([...listed, ...marks.map(({ run }) => run)]);
  return [...faults, ...(await diskFaults(site, client)), ...(await orphanFaults(ours))];
}

/** Waits for every job to come to rest; names those that never do. */
async function settled(client: Client): Promise<string[]> {
  const deadline = Date.now() + settleMs;
  for (;;) {
    const busy: string[] = [];
    for (const id of await allJobs(client)) {
      const { status } = (await client.send("GET", `/v1/jobs/${id}`)).body;
      if (!ended.includes(status) && !waiting.includes(status)) busy.push(`job ${id} stays ${status}`);
    }
    if (busy.length === 0 || Date.now() > deadline) return busy;
    await sleep(25);
  }
}

async function allJobs(client: Client): Promise<string[]> {
  const ids: string[] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const next: string = cursor === "" ? "" : `&cursor=${cursor}`;
    const { body } = await client.send("GET", `/v1/jobs?limit=200${next}`);
    ids.push(...body.jobs.map((job: { request_id: string }) => job.request_id));
    cursor = body.next_cursor;
  }
  return ids;
}

function listFaults(listed: string[], ledger: Client["ledger"]): string[] {
  const faults = new Set(listed).size === listed.length ? [] : ["a job is listed twice"];
  for (const [id, known] of ledger) {
    if (known.remove === "no" && !listed.includes(id)) faults.push(`job ${id} was accepted and is lost`);
    if (known.remove === "done" && listed.includes(id))
      faults.push(`job ${id} was deleted and is there again`);
  }
  return faults;
}

/** What is gone is gone for every endpoint. */
async function goneFaults(client: Client, listed: string[]): Promise<string[]> {
  const faults: string[] = [];
  for (const [id, { remove }] of client.ledger) {
    if (remove === "no" || listed.includes(id)) continue;
    const { status } = await client.send("GET", `/v1/jobs/${id}`);
    if (status !== 404) faults.push(`job ${id} was deleted and answers ${status}`);
  }
  return faults;
}

async function look(client: Client, id: string): Promise<Job> {
  const { status, body } = await client.send("GET", `/v1/jobs/${id}`);
  if (status !== 200) throw new Error(`job ${id} is listed and answers ${status}`);
  const events: LoggedEvent[] = [];
  for (;;) {
    const page = await client.send(
      "GET",
      `/v1/jobs/${id}/events/history?limit=1000&from_seq=${events.length + 1}`,
    );
    events.push(...page.body.events);
    if (page.body.events.length < 1000) return { id, status: body, events };
  }
}

/** The log on disk holds what HTTP shows of it, and nothing that HTTP leaves out. */
async function rawLogFaults(site: Site, { id, status, events }: Job): Promise<string[]> {
  const text = await readFile(join(site.dataDir, ofJob(id), "events.jsonl"), "utf8").catch(() => "");
  const lines = text.split("\n");
  const last = lines.pop();
  // The next writer cuts off what a crash tore. Nobody has written yet to a job that waits.
  const faults =
    last === "" || waiting.includes(status.status) ? [] : [`its log ends in half a line: ${last}`];
  for (const [at, line] of lines.entries()) {
    if (parsed(line) === undefined)
      faults.push(`line ${at + 1} of its log is not JSON: ${line.slice(0, 80)}`);
  }
  if (lines.length !== events.length)
    faults.push(`its log has ${lines.length} lines, HTTP shows ${events.length}`);
  return faults;
}

function endFaults({ status, events }: Job, known: Known | undefined): string[] {
  const faults: string[] = [];
  const { status: state, error } = status;
  const interrupted = state === "failed" && error?.code === "ORCHESTRATOR_RESTART_INTERRUPTED";
  const ran = events.some((event) => event.data.to === "running");
  if (interrupted && !ran) faults.push("it was only queued and counts as interrupted");
  if (ended.includes(state) && !interrupted) {
    const allowed = [...(known?.ends ?? ["succeeded"]), ...(known?.cancel === "asked" ? ["canceled"] : [])];
    const wanted = known?.cancel === "done" ? ["canceled"] : allowed;
    if (!wanted.includes(state)) faults.push(`it ended ${state} (${JSON.stringify(error)}), not ${wanted}`);
  } else if (known?.cancel === "done" && !ended.includes(state)) {
    faults.push(`its cancel was answered and it is ${state}`);
  }
  if (known?.uploaded === true && state === "created") faults.push("its upload was answered and is lost");
  return faults;
}

/** Who has ended has a result that says so, and every file it names, whole. */
async function resultFaults(client: Client, { id, status }: Job): Promise<string[]> {
  if (!ended.includes(status.status)) return [];
  const answer = await client.send("GET", `/v1/jobs/${id}/result`);
  if (answer.status !== 200) return [`it has ended and its result answers ${answer.status}`];
  const { result } = answer.body;
  const says = result.status === "success" ? "succeeded" : result.status;
  if (says !== status.status) return [`it is ${status.status} and its result says ${result.status}`];
  const faults: string[] = [];
  for (const { path, bytes } of result.artifact_details) {
    const file = await client.send("GET", `/v1/jobs/${id}/artifacts/${path}`);
    if (file.status !== 200 || Buffer.byteLength(file.body) !== bytes)
      faults.push(
        `its artifact ${path} answers ${file.status} with ${Buffer.byteLength(String(file.body))} bytes`,
      );
  }
  return faults;
}

function agentFaults({ status }: Job, marks: AgentMark[]): string[] {
  const starts = marks.filter(({ mark }) => mark === "start");
  const faults = starts
    .filter(({ others = [] }) => others.length > 0)
    .map(({ pid, others }) => `agent ${pid} started while ${others} of the same job were alive`);
  const finished = status.finished_at === null ? Number.POSITIVE_INFINITY : Date.parse(status.finished_at);
  for (const { pid, at } of starts) {
    if (at > finished) faults.push(`agent ${pid} started ${at - finished} ms after the job had ended`);
  }
  for (const { mark, uploaded, resumes } of marks) {
    if (mark === "wrong-session") faults.push(`it went on with the session ${resumes}, which is not its own`);
    if (mark === "uploads" && uploaded?.join() !== uploadedText)
      faults.push(`its agent saw other files than were sent: ${JSON.stringify(uploaded)}`);
  }
  if (status.status === "succeeded" && status.cache_hit !== true && starts.length === 0)
    faults.push("it succeeded, and no agent was ever started for it");
  return faults;
}

/** Records are whole, only the living are among the living, and nothing was written anywhere else. */
async function diskFaults(site: Site, client: Client): Promise<string[]> {
  const faults: string[] = [];
  const state = join(site.dataDir, "state");
  // There is none before the first job.
  const records = await readdir(state, { recursive: true, withFileTypes: true }).catch(() => []);
  for (const entry of records) {
    if (!entry.isFile() || entry.name.startsWith(".tmp-")) continue;
    const path = join(entry.parentPath, entry.name);
    if (parsed(await readFile(path, "utf8")) === undefined) faults.push(`the record ${path} is torn`);
  }
  const resting = await idsIn(client, waiting);
  // The ended record is stored first; the other goes a moment later.
  await eventually(async () => {
    const active = await visible(join(state, "active"));
    return active.filter((id) => !resting.has(id)).map((id) => `state/active has ${id}, which has ended`);
  }, faults);
  for (const name of await visible(join(site.dataDir, "run_secrets"))) {
    if (!resting.has(name.split(".")[0] ?? "")) faults.push(`run_secrets has ${name}, whose job has ended`);
  }
  await eventually(async () => {
    const received = await visible(join(site.dataDir, "incoming"));
    return received.map((name) => `incoming has ${name}, which nobody is sending`);
  }, faults);
  // The server may just be asking a CLI something, which has a folder in tmp for that long.
  await eventually(async () => {
    const folders = ["home", "tmp"].map(async (folder) =>
      (await readdir(join(site.folder, folder))).map(
        (name) => `${name} was written to ${folder}, outside of the data directory`,
      ),
    );
    return (await Promise.all(folders)).flat();
  }, faults);
  const beside = (await readdir(site.folder)).sort().filter((name) => name !== "data");
  if (beside.join() !== "home,npm,skills,tmp") faults.push(`beside the data directory there is ${beside}`);
  return faults;
}

async function idsIn(client: Client, statuses: string[]): Promise<Set<string>> {
  const ids = new Set<string>();
  for (const id of await allJobs(client)) {
    const { status } = (await client.send("GET", `/v1/jobs/${id}`)).body;
    if (statuses.includes(status)) ids.add(id);
  }
  return ids;
}

async function orphanFaults(ours: Set<string>): Promise<string[]> {
  const faults: string[] = [];
  await eventually(async () => {
    const alive = (await markedProcesses()).filter(({ run }) => ours.has(run));
    return alive.map(({ pid, run }) => `process ${pid} of job ${run} is alive after its end`);
  }, faults);
  return faults;
}

/** What must come true a moment later: only what is still wrong after a while is a fault. */
async function eventually(look: () => Promise<string[]>, faults: string[]): Promise<void> {
  const deadline = Date.now() + 5_000;
  let wrong = await look();
  while (wrong.length > 0 && Date.now() < deadline) {
    await sleep(50);
    wrong = await look();
  }
  faults.push(...wrong);
}

async function visible(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(() => [])).filter((name) => !name.startsWith("."));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
