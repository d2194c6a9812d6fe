import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fetchJson } from "./http.ts";
import { median, milliseconds } from "./numbers.ts";
import { residentMemory, startServer } from "./server-process.ts";
import { bounded, type Row } from "./table.ts";

const mostStartMs = 300;
const mostIdleMiB = 90;
const idleMs = 3_000;

/** Time from the start of the process to its first answer, on an empty data folder each time. */
export async function measureStart(folder: string, { starts }: { starts: number }): Promise<Row[]> {
  const times: number[] = [];
  for (let round = 0; round < starts; round++) {
    const server = await startServer(join(folder, `start-${round}`));
    times.push(server.startedInMs);
    await server.stop();
  }
  const row = {
    what: "process start to first 200, median",
    ours: `${milliseconds(Math.min(...times))} to ${milliseconds(Math.max(...times))}`,
    against: `${starts} starts`,
  };
  return [bounded(row, median(times), { most: mostStartMs }, milliseconds)];
}

/** Memory of a server that has answered a little and now has nothing to do. */
export async function measureMemory(folder: string): Promise<Row[]> {
  const server = await startServer(folder);
  try {
    await fetchJson(`${server.url}/v1/skills`);
    await fetchJson(`${server.url}/v1/jobs`);
    await sleep(idleMs);
    const row = { what: "memory when idle (RSS)", ours: "after one list of skills and jobs", against: "" };
    const show = (value: number) => `${value.toFixed(1)} MiB`;
    return [bounded(row, residentMemory(server.pid), { most: mostIdleMiB }, show)];
  } finally {
    await server.stop();
  }
}
