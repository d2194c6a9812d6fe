import { setTimeout as sleep } from "node:timers/promises";
import { invocationOf, spawnBare } from "./bare-spawn.ts";
import { ended, submit } from "./jobs.ts";
import { median, milliseconds, quantile, timed } from "./numbers.ts";
import { startServer } from "./server-process.ts";
import { bounded, type Row } from "./table.ts";

const warmUps = 5;
const mostMs = 15;
/** Share of the fastest bare spawn that the client lets pass before it starts to poll. */
const quietShare = 0.9;

/**
 * What a run costs beyond its program: from the submit until the status says that it has ended, minus a bare spawn.
 * No run can end before its program does, so the client keeps still until then and polls without a pause from there:
 * polling all the time would take a core away from the program that is being measured.
 */
export async function measureOverhead(folder: string, { pairs }: { pairs: number }): Promise<Row[]> {
  const server = await startServer(folder);
  try {
    const first = await submit(server.url, "the first");
    await ended(server.url, first);
    const invocation = invocationOf(first, server);
    const bare = () => timed(() => spawnBare(invocation));
    const through = (text: string, quietMs: number) =>
      timed(async () => {
        const id = await submit(server.url, text);
        await sleep(quietMs);
        await ended(server.url, id);
      });
    let fastest = Number.POSITIVE_INFINITY;
    for (let round = 0; round < warmUps; round++) {
      fastest = Math.min(fastest, await bare());
      await through(`warm-up ${round}`, 0);
    }
    const spawns: number[] = [];
    const runs: number[] = [];
    for (let pair = 0; pair < pairs; pair++) {
      spawns.push(await bare());
      fastest = Math.min(fastest, spawns[pair] ?? fastest);
      runs.push(await through(`text ${pair}`, fastest * quietShare));
    }
    const overheads = runs.map((run, pair) => run - (spawns[pair] ?? 0));
    const row = {
      what: "overhead per run, median",
      ours: `${milliseconds(median(runs))} submit to end`,
      against: `${milliseconds(median(spawns))} bare spawn`,
    };
    return [
      bounded(row, median(overheads), { most: mostMs }, milliseconds),
      {
        what: "overhead per run, 90th percentile",
        ours: `${milliseconds(quantile(runs, 0.9))} submit to end`,
        against: `${milliseconds(quantile(spawns, 0.9))} bare spawn`,
        result: milliseconds(quantile(overheads, 0.9)),
        target: null,
      },
    ];
  } finally {
    await server.stop();
  }
}
