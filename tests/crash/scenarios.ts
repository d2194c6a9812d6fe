import { setTimeout as sleep } from "node:timers/promises";
import { type Client, ended, haiku, question, report, statistics } from "./client.ts";
import type { Site } from "./site.ts";
import { finishWaiting } from "./waiting-jobs.ts";

/** A piece of a job's life that the server is killed in, at every call that changes its data directory. */
export interface Scenario {
  name: string;
  env?: Record<string, string>;
  /** What is done before the calls are counted. */
  prepare?(client: Client, site: Site): Promise<void>;
  /** The server is killed and started anew before `drive`, and its start is counted too. */
  fromStart?: boolean;
  /** What the client does while the server may die at any call. */
  drive(client: Client, site: Site): Promise<void>;
  /** What a client does after the restart, so that nothing is left waiting. */
  afterwards?(client: Client): Promise<void>;
}

const slow = { before: 60_000 };

/** Waits until the agent of a job is there; ends with NoAnswer when the server dies before. */
async function agentStarted(client: Client, site: Site, id: string): Promise<void> {
  while (!(await site.marks()).some(({ run, mark }) => run === id && mark === "start")) {
    await client.send("GET", "/healthz");
    await sleep(10);
  }
}

async function submitted(client: Client, body: object, ends?: readonly string[]): Promise<string> {
  const id = await client.submit(body, ends === undefined ? {} : { ends });
  if (id === null) throw new Error("a job was refused");
  return id;
}

/** Jobs that `prepare` left for `drive`, by the order of their sending. */
const nth = (client: Client, at: number): string => [...client.ledger.keys()][at] ?? "";

export const scenarios: Scenario[] = [
  {
    name: "a job with variables of its own",
    async drive(client) {
      await client.until(await submitted(client, haiku("a pond", { after: 20 })), ended);
    },
  },
  {
    name: "a job with an upload and an artifact",
    async drive(client) {
      const id = await submitted(client, report());
      await client.upload(id);
      await client.until(id, ended);
    },
    afterwards: finishWaiting,
  },
  {
    name: "a job with a repair turn",
    async drive(client) {
      await client.until(await submitted(client, statistics("The tide came in.", { broken: 1 })), ended);
    },
  },
  {
    name: "a job that asks, is answered, and goes on in its session",
    async drive(client) {
      const id = await submitted(client, question);
      await client.until(id, ["waiting_user"]);
      await client.reply(id);
      await client.until(id, ended);
    },
    async afterwards(client) {
      await client.adopt();
      for (const id of client.ledger.keys()) {
        const { status } = await client.until(id, ["waiting_user", ...ended]);
        if (status === "waiting_user") await client.reply(id);
        await client.until(id, ended);
      }
    },
  },
  {
    name: "a running job is canceled, whose agent left a child",
    async drive(client, site) {
      const id = await submitted(client, haiku("a pond", { ...slow, leave: true }));
      await agentStarted(client, site, id);
      await client.cancel(id);
    },
    async afterwards(client) {
      // Also one whose answer never came: its agent would be at work for a minute.
      await client.adopt();
      for (const id of client.ledger.keys()) await client.cancel(id);
    },
  },
  {
    name: "two jobs and one slot; a third is canceled while it waits, a fourth while it waits for its files",
    async drive(client) {
      const first = await submitted(client, haiku("one", { before: 100 }));
      const second = await submitted(client, haiku("two"));
      const third = await submitted(client, haiku("three"));
      await client.cancel(third);
      await client.cancel(await submitted(client, report()));
      await client.until(first, ended);
      await client.until(second, ended);
    },
    afterwards: finishWaiting,
  },
  {
    name: "cache hits, with and without an upload",
    async prepare(client) {
      await client.until(await submitted(client, haiku("a pond")), ["succeeded"]);
      const id = await submitted(client, report());
      await client.upload(id);
      await client.until(id, ["succeeded"]);
    },
    async drive(client) {
      await submitted(client, haiku("a pond"));
      await client.upload(await submitted(client, report()));
    },
    afterwards: finishWaiting,
  },
  {
    name: "a job that has ended is deleted, and one that waits for its files",
    async prepare(client) {
      await client.until(await submitted(client, haiku("a pond")), ["succeeded"]);
      await submitted(client, report());
    },
    async drive(client) {
      await client.remove(nth(client, 0));
      await client.remove(nth(client, 1));
    },
    async afterwards(client) {
      for (const [id, { remove }] of client.ledger) {
        if (remove === "no") await client.remove(id);
        if (remove === "asked") {
          const { status } = await client.remove(id);
          if (![204, 404].includes(status)) throw new Error(`a second delete answers ${status}`);
        }
      }
      // Nothing of it may be left in the cache either.
      await client.until(await submitted(client, haiku("a pond")), ["succeeded"]);
    },
  },
  {
    name: "a restart after a crash, with a job in every state",
    fromStart: true,
    async prepare(client, site) {
      const running = await submitted(client, haiku("one", { before: 300, leave: true }));
      await agentStarted(client, site, running);
      await submitted(client, haiku("two", {}));
      await submitted(client, report());
    },
    async drive(client) {
      await client.until(nth(client, 0), ended);
      await client.until(nth(client, 1), ended);
    },
    afterwards: finishWaiting,
  },
];
