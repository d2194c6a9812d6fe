import { join } from "node:path";
import { encodeCursor } from "../functions/_shared/cursor.ts";
import { fetchJson } from "./http.ts";
import { median, milliseconds, timed } from "./numbers.ts";
import { commonStatus, rareSkill, seedRuns } from "./seed.ts";
import { type ServerProcess, startServer } from "./server-process.ts";
import { bounded, type Row } from "./table.ts";

const many = 100_000;
const few = 100;
const pageSize = 20;
const asksPerRound = 30;
const mostRatio = 2;

interface Page {
  jobs: object[];
  next_cursor: string | null;
}

/** Time of one page of jobs: on a store with 100,000 runs, and on one with the newest 100 of them alone. */
export async function measureListing(folder: string, { rounds }: { rounds: number }): Promise<Row[]> {
  const now = Date.now();
  const [full, newest] = [join(folder, "full"), join(folder, "newest")];
  const ids = seedRuns(join(full, "data"), { count: many, perSpan: many, now });
  seedRuns(join(newest, "data"), { count: few, perSpan: many, now });
  const servers: ServerProcess[] = [];
  try {
    const [large, small] = [await startServer(full), await startServer(newest)];
    servers.push(large, small);
    const cold = await timed(() => page(large, ""));
    const times = await interleave(rounds, {
      large: () => page(large, ""),
      small: () => page(small, ""),
      deep: () => page(large, `&cursor=${encodeCursor(anyOf(ids))}`),
      common: () => page(large, `&status=${commonStatus}`),
      rare: () => page(large, `&skill_id=${rareSkill}`, 2),
    });
    const row = {
      what: `one page of ${pageSize} of ${count(many)} runs`,
      ours: milliseconds(times.large),
      against: `${milliseconds(times.small)} with ${few} runs`,
    };
    const info = (what: string, value: number): Row => ({
      what: `  ${what}`,
      ours: milliseconds(value),
      against: "",
      result: `x ${(value / times.small).toFixed(2)}`,
      target: null,
    });
    return [
      bounded(row, times.large / times.small, { most: mostRatio }, (value) => `x ${value.toFixed(2)}`),
      info("the first page after a start", cold),
      info("a page anywhere in the seven days", times.deep),
      info("a filter that one run in 10 passes", times.common),
      info("a filter that one run in 1,000 passes", times.rare),
    ];
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
}

async function page(server: ServerProcess, query: string, least = pageSize): Promise<void> {
  const { jobs } = await fetchJson<Page>(`${server.url}/v1/jobs?limit=${pageSize}${query}`);
  if (jobs.length < least) throw new Error(`the page${query} has ${jobs.length} jobs`);
}

/** Median time of each action; each round does some of each, so that a busy moment hits all alike. */
async function interleave<Name extends string>(
  rounds: number,
  actions: Record<Name, () => Promise<void>>,
): Promise<Record<Name, number>> {
  const names = Object.keys(actions) as Name[];
  const times = new Map<Name, number[]>(names.map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const name of names) {
      for (let ask = 0; ask < asksPerRound; ask++) times.get(name)?.push(await timed(actions[name]));
    }
  }
  return Object.fromEntries(names.map((name) => [name, median(times.get(name) ?? [])])) as Record<
    Name,
    number
  >;
}

/** Any id but of the oldest page. */
function anyOf(ids: readonly string[]): string {
  return ids[Math.floor(Math.random() * (ids.length - pageSize))] ?? "";
}

const count = (value: number) => value.toLocaleString("en");
