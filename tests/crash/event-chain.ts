import { join } from "node:path";
import { decodeTime } from "ulid";
import { ended } from "./client.ts";

export interface LoggedEvent {
  seq: number;
  type: string;
  data: { from?: string; to?: string; terminal?: object };
}

/** docs/api.md, "States", with what docs/architecture.md adds for a restart. Written down anew: a proof borrows nothing. */
const steps: Record<string, string[]> = {
  created: ["queued", "succeeded", "canceled"],
  queued: ["running", "failed", "canceled"],
  running: ["succeeded", "failed", "canceled", "queued", "waiting_user", "waiting_auth"],
  waiting_user: ["queued", "running", "failed", "canceled"],
  waiting_auth: ["queued", "running", "failed", "canceled"],
  succeeded: [],
  failed: [],
  canceled: [],
};

/** The folder of a job below the data directory. */
export function ofJob(id: string): string {
  return join("runs", new Date(decodeTime(id)).toISOString().slice(0, 10), id);
}

/** What is wrong with a job's log: numbers, steps, its end. */
export function logFaults(job: { status: string; cache_hit: boolean }, events: LoggedEvent[]): string[] {
  const faults: string[] = [];
  const numbers = events.map(({ seq }) => seq);
  if (numbers.some((seq, at) => seq !== at + 1)) faults.push(`its events are numbered ${numbers}`);
  const changes = events.filter(({ type }) => type === "conversation.state.changed");
  let state: string | undefined;
  for (const { seq, data } of changes) {
    const { from = "", to = "" } = data;
    const begins = state === undefined && ["created", "queued"].includes(from);
    if (!(begins || from === state))
      faults.push(`event ${seq} says ${from} -> ${to}, but the job was ${state}`);
    const atOnce = job.cache_hit && from === "queued" && to === "succeeded";
    if (!(atOnce || steps[from]?.includes(to)))
      faults.push(`event ${seq}: no job goes from ${from} to ${to}`);
    state = to;
  }
  const last = state ?? "nothing";
  const untold = changes.length === 0 && ["created", "queued"].includes(job.status);
  if (!untold && last !== job.status) faults.push(`it is ${job.status}, and its log ends with ${last}`);
  const terminal = changes.filter(({ data }) => data.terminal !== undefined);
  const wanted = ended.includes(job.status) ? 1 : 0;
  if (terminal.length !== wanted) faults.push(`it is ${job.status}, with ${terminal.length} terminal events`);
  if (terminal.length > 0 && changes.at(-1)?.data.terminal === undefined)
    faults.push("its last step is not the terminal one");
  return faults;
}
