import { join } from "node:path";
import { replaceFile } from "../lib/storage/index.ts";
import { invocationOf, spawnBare } from "./bare-spawn.ts";
import { ended, submit, watchEnds } from "./jobs.ts";
import { median, milliseconds, quantile, timed } from "./numbers.ts";
import { startServer } from "./server-process.ts";
import { bounded, type Row } from "./table.ts";

const warmUps = 5;
/** Size of a job's record. */
const recordBytes = 1_500;
const mostMs = 15;
/** What a run costs beyond its program: from the submit until its status says that it has ended, minus a bare spawn. */
export async function measureOverhead(folder: string, { pairs }: { pairs: number }): Promise<Row[]> {
  const server = await startServer(folder);
  try {
    const first = await submit(server.url, "the first");
    await ended(server.url, first);
    const invocation = invocationOf(first, server);
    const ends = watchEnds(server.dataDir);
    const bare = () => timed(() => spawnBare(invocation));
    const through = (text: string) =>
      timed(async () => {
        const id = await submit(server.url, text);
        await ends.of(id);
        await ended(server.url, id);
      });
    for (let round = 0; round < warmUps; round++) {
      await bare();
      await through(`warm-up ${round}`);
    }
    const disk = join(folder, "disk");
    const record = "x".repeat(recordBytes);
    const writes: number[] = [];
    const spawns: number[] = [];
    const runs: number[] = [];
    for (let pair = 0; pair < pairs; pair++) {
      writes.push(await timed(() => replaceFile(disk, record)));
      spawns.push(await bare());
      runs.push(await through(`text ${pair}`));
    }
    ends.close();
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
      {
        what: "one durable write on this disk, for scale",
        ours: "",
        against: "",
        result: milliseconds(median(writes)),
        target: null,
      },
    ];
  } finally {
    await server.stop();
  }
}
