import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { faultsOf } from "./checker.ts";
import { createClient, type Ledger, untilDeath } from "./client.ts";
import { customer } from "./load.ts";
import { seeded } from "./seeded.ts";
import { makeSite, type Site } from "./site.ts";
import { finishWaiting } from "./waiting-jobs.ts";

/** CRASH_SEED=<seed> runs a failing one again: the same jobs and delays, though never the same machine. */
const seed = Number(process.env.CRASH_SEED ?? Math.floor(Math.random() * 1e9));
const rounds = Number(process.env.CRASH_ROUNDS ?? 60);
const customers = 6;
const env = { SKILL_RUNNER_MAX_CONCURRENT_HARD_CAP: "3", SKILL_RUNNER_MAX_QUEUE_SIZE: "2000" };

let site: Site;
afterEach(() => site.remove());

test(`killed at random moments under load, ${rounds} times in one data directory`, {
  timeout: 400_000,
}, async () => {
  console.log(`CRASH_SEED=${seed} CRASH_ROUNDS=${rounds}`);
  site = await makeSite();
  const random = seeded(seed);
  const ledger: Ledger = new Map();
  let kills = 0;
  let duringStart = 0;
  for (let round = 0; round < rounds; round++) {
    // One of five dies while it starts, and takes up what the one before left.
    const lifeMs = random.chance(0.2) ? random.between(20, 160) : random.between(160, 1_200);
    const seeds = Array.from({ length: customers }, () => random.between(0, 1e9));
    const launched = site.launch(env);
    const death = sleep(lifeMs).then(() => launched.child.kill("SIGKILL"));
    const server = await launched.ready.catch(() => null);
    if (server === null) duringStart += 1;
    else {
      const client = createClient(server.url, ledger);
      await Promise.all(seeds.map((one) => untilDeath(customer(client, seeded(one)))));
    }
    await death;
    await launched.exited;
    // Who ended by itself was not killed, but broken.
    expect(launched.child.signalCode).toBe("SIGKILL");
    kills += 1;
  }
  const server = await site.launch(env).ready;
  try {
    const client = createClient(server.url, ledger);
    await finishWaiting(client);
    expect(await faultsOf(client, site), `CRASH_SEED=${seed}`).toEqual([]);
  } finally {
    await server.crash();
  }
  expect(kills).toBe(rounds);
  expect(ledger.size).toBeGreaterThan(rounds);
  const all = [...ledger.values()];
  console.log(
    `${kills} kills, ${duringStart} of them while it started; ${all.length} jobs accepted, ` +
      `${all.filter(({ uploaded }) => uploaded).length} with files, ` +
      `${all.filter(({ cancel }) => cancel === "done").length} canceled, ` +
      `${all.filter(({ remove }) => remove === "done").length} deleted`,
  );
});
