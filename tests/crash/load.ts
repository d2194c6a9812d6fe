import { setTimeout as sleep } from "node:timers/promises";
import { type Client, ended, haiku, report, statistics } from "./client.ts";
import type { Seeded } from "./seeded.ts";

type Errand = (client: Client, random: Seeded) => Promise<void>;

const must = async (client: Client, body: object, ends?: readonly string[]): Promise<string> => {
  const id = await client.submit(body, ends === undefined ? {} : { ends });
  if (id === null) throw new Error("a job was refused");
  return id;
};
const unique = (random: Seeded) => `pond ${random.between(0, 1e9)}`;

/** What customers come for. A run of them touches every kind of step a job has. */
const errands: readonly [Errand, ...Errand[]] = [
  async (client, random) => {
    await client.until(await must(client, haiku(unique(random), { after: random.between(0, 40) })), ended);
  },
  // Few different questions: most are answered from the cache.
  async (client, random) => {
    await client.until(await must(client, haiku(`tide ${random.between(0, 3)}`)), ended);
  },
  // Nobody waits for these.
  async (client, random) => {
    await must(client, haiku(unique(random), { before: random.between(0, 700), between: 50 }));
  },
  async (client, random) => {
    const plan = { between: random.between(0, 300), leave: true };
    await must(client, haiku(unique(random), plan));
  },
  async (client, random) => {
    await client.until(
      await must(client, statistics(unique(random), { broken: random.between(1, 2) })),
      ended,
    );
  },
  async (client, random) => {
    const id = await must(client, report({ before: random.between(0, 200) }));
    await sleep(random.between(0, 60));
    await client.upload(id);
    if (random.chance(0.5)) await client.until(id, ended);
  },
  async (client, random) => {
    const plan = { before: random.between(50, 500), leave: random.chance(0.5) };
    const id = await must(client, haiku(unique(random), plan));
    await sleep(random.between(0, 400));
    await client.cancel(id);
  },
  async (client) => {
    await client.cancel(await must(client, report()));
  },
  async (client, random) => {
    const id = await must(client, haiku(unique(random)));
    await client.until(id, ended);
    await client.remove(id);
  },
];

/** A customer who comes back with another errand until the server is gone. Ends with NoAnswer. */
export async function customer(client: Client, random: Seeded): Promise<never> {
  for (;;) {
    await random.pick(errands)(client, random);
    await sleep(random.between(0, 50));
  }
}
