import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import autocannon from "autocannon";
import { bundle } from "./bundle.ts";
import { ask, type Reply } from "./http.ts";
import { ended, submit } from "./jobs.ts";
import { median, medianRatio, perSecond } from "./numbers.ts";
import { cpuTime, type ServerProcess, startNode, startServer, stop } from "./server-process.ts";
import { bounded, type Row } from "./table.ts";

const connections = 20;
const leastRatio = 0.6;

interface Load {
  perSecond: number;
  cpuMsPerRequest: number;
}

/** Requests per second of two endpoints, against Hono alone with the same bytes, a round each in turn. */
export async function measureRequests(
  folder: string,
  { rounds, seconds }: { rounds: number; seconds: number },
): Promise<Row[]> {
  const server = await startServer(folder);
  let bare: BareServer | undefined;
  try {
    const id = await submit(server.url, "a text");
    await ended(server.url, id);
    const paths = { "GET /v1/jobs/{id}": `/v1/jobs/${id}`, "GET /v1/skills": "/v1/skills" };
    bare = await startBareServer(folder, server, Object.values(paths));
    const rows: Row[] = [];
    for (const [name, path] of Object.entries(paths)) {
      await assertSame(server.url + path, bare.url + path);
      const ours: Load[] = [];
      const theirs: Load[] = [];
      await load(server, path, 1);
      await load(bare, path, 1);
      for (let round = 0; round < rounds; round++) {
        ours.push(await load(server, path, seconds));
        theirs.push(await load(bare, path, seconds));
      }
      rows.push(...compare(name, ours, theirs));
    }
    return rows;
  } finally {
    if (bare) await stop(bare.child);
    await server.stop();
  }
}

function compare(name: string, ours: Load[], theirs: Load[]): Row[] {
  const rateOf = (load: Load) => load.perSecond;
  const rate = (loads: Load[]) => median(loads.map(rateOf));
  const cpu = (loads: Load[]) => median(loads.map((load) => load.cpuMsPerRequest));
  const show = (value: number) => `x ${value.toFixed(2)}`;
  const row = {
    what: `${name}, requests`,
    ours: perSecond(rate(ours)),
    against: `${perSecond(rate(theirs))} bare Hono`,
  };
  return [
    bounded(row, medianRatio(ours.map(rateOf), theirs.map(rateOf)), { least: leastRatio }, show),
    {
      what: `${name}, processor time per request`,
      ours: `${(cpu(ours) * 1000).toFixed(0)} us`,
      against: `${(cpu(theirs) * 1000).toFixed(0)} us bare Hono`,
      result: show(cpu(theirs) / cpu(ours)),
      target: null,
    },
  ];
}

async function load(server: { url: string; pid: number }, path: string, seconds: number): Promise<Load> {
  const before = cpuTime(server.pid);
  const { requests, errors, non2xx, duration } = await autocannon({
    url: server.url + path,
    connections,
    duration: seconds,
  });
  if (errors + non2xx > 0) throw new Error(`${path}: ${errors} errors, ${non2xx} bad answers`);
  return {
    perSecond: requests.total / duration,
    cpuMsPerRequest: (cpuTime(server.pid) - before) / requests.total,
  };
}

interface BareServer {
  url: string;
  pid: number;
  child: ChildProcess;
}

async function startBareServer(folder: string, server: ServerProcess, paths: string[]): Promise<BareServer> {
  const answers: Record<string, Reply> = {};
  for (const path of paths) answers[path] = await ask(server.url + path);
  const file = join(folder, "answers.json");
  writeFileSync(file, JSON.stringify(answers));
  const program = await bundle("bare-server.ts", folder);
  const child = startNode(program, [file], { stdio: ["ignore", "pipe", "inherit"] });
  if (child.stdout === null) throw new Error("the bare server has no output");
  const [port] = await once(child.stdout, "data");
  return { url: `http://127.0.0.1:${String(port).trim()}`, pid: child.pid ?? 0, child };
}

async function assertSame(ours: string, theirs: string): Promise<void> {
  const [a, b] = [await ask(ours), await ask(theirs)];
  if (a.status !== 200 || JSON.stringify(a) !== JSON.stringify(b)) {
    throw new Error(`${ours} and ${theirs} do not answer the same`);
  }
}
