// Takes rounds of runs through the server's own services and, in turn, the same spawns through a plain p-limit loop,
// both in this process. Prints the seconds of each round as JSON.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import pLimit from "p-limit";
import { readConfig } from "../runtime/config.ts";
import { createServices, type RunningServices } from "../runtime/services.ts";
import { invocationOf, spawnBare } from "./bare-spawn.ts";
import type { GateOrder, GateTimes } from "./gate.ts";
import { timed } from "./numbers.ts";
import { inputOf, installStandIn, skillId } from "./stand-in.ts";

async function main(order: GateOrder): Promise<GateTimes> {
  const home = join(order.folder, "home");
  mkdirSync(home, { recursive: true });
  const environment = {
    PATH: process.env.PATH,
    HOME: home,
    SKILL_RUNNER_DATA_DIR: join(order.folder, "data"),
    SKILL_RUNNER_SKILLS_DIR: order.skillsDir,
    NPM_CONFIG_PREFIX: join(order.folder, "npm"),
    // The stand-in keeps its files beside itself.
    SKILL_RUNNER_SANDBOX: "off",
    SKILL_RUNNER_MAX_CONCURRENT_HARD_CAP: String(order.concurrency),
    SKILL_RUNNER_CPU_FACTOR: String(order.concurrency),
    SKILL_RUNNER_ESTIMATED_MEM_PER_RUN_MB: "64",
    SKILL_RUNNER_MAX_QUEUE_SIZE: String(order.runsPerRound),
  };
  const config = readConfig(environment, order.folder);
  installStandIn(config.npmPrefix, order.program);
  const log = { info() {}, warn() {}, error: console.error };
  const services = await createServices({ config, environment, log, openApiDocument: async () => ({}) });
  await services.start();
  try {
    if (services.capacity.gate.limit !== order.concurrency) {
      throw new Error(`the gate lets ${services.capacity.gate.limit} run at once, not ${order.concurrency}`);
    }
    const [first = ""] = await runAll(services, 1, "the first");
    const place = { dataDir: config.dataDir, npmPrefix: config.npmPrefix, environment };
    const invocation = invocationOf(first, place);
    const spawnAll = async (count: number) => {
      const limit = pLimit(order.concurrency);
      await Promise.all(Array.from({ length: count }, () => limit(() => spawnBare(invocation))));
    };
    await runAll(services, 4 * order.concurrency, "warm-up");
    await spawnAll(4 * order.concurrency);
    const times: GateTimes = { gate: [], plain: [] };
    for (let round = 0; round < order.rounds; round++) {
      times.plain.push((await timed(() => spawnAll(order.runsPerRound))) / 1000);
      times.gate.push((await timed(() => runAll(services, order.runsPerRound, `round ${round}`))) / 1000);
    }
    return times;
  } finally {
    await services.stop();
  }
}

/** Submits jobs all at once and waits until each has succeeded. */
async function runAll(services: RunningServices, count: number, name: string): Promise<string[]> {
  const accepted = await Promise.all(
    Array.from({ length: count }, (_, n) =>
      services.runs.submit(
        {
          skill_source: "installed",
          skill_id: skillId,
          engine: "codex",
          input: inputOf(`${name}, text ${n}`),
          parameter: {},
          model: null,
          provider_id: null,
          effort: null,
          runtime_options: {},
          conversation_mode: "session",
        },
        { sender: null },
      ),
    ),
  );
  await services.capacity.gate.onIdle();
  for (const { request_id: id, cache_hit } of accepted) {
    const { status } = await services.runs.status(id);
    if (cache_hit || status !== "succeeded") throw new Error(`run ${id} has ${status}`);
  }
  return accepted.map(({ request_id }) => request_id);
}

console.log(JSON.stringify(await main(JSON.parse(process.argv[2] ?? ""))));
