import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { measureEvents } from "./events.ts";
import { measureGate } from "./gate.ts";
import { measureListing } from "./listing.ts";
import { measureNodes } from "./nodes.ts";
import { measureOverhead } from "./overhead.ts";
import { measureRequests } from "./requests.ts";
import { measureMemory, measureStart } from "./start.ts";
import { formatTable, type Row } from "./table.ts";

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    markdown: { type: "boolean", default: false },
    only: { type: "string" },
    // Misses are shown but do not fail the command: a shared machine says little about time.
    report: { type: "boolean", default: false },
  },
});
const quick = options.quick;

// Listing comes last: the 100,000 files it writes would slow down the fsyncs of whatever follows.
const measurements: Record<string, (folder: string) => Promise<Row[]>> = {
  overhead: (folder) => measureOverhead(folder, { pairs: quick ? 25 : 60 }),
  requests: (folder) => measureRequests(folder, { rounds: quick ? 3 : 9, seconds: 2 }),
  start: (folder) => measureStart(folder, { starts: quick ? 7 : 15 }),
  memory: measureMemory,
  events: (folder) => measureEvents(folder, { rounds: quick ? 1 : 3 }),
  gate: (folder) => measureGate(folder, { runs: quick ? 200 : 1_000, rounds: quick ? 5 : 10 }),
  nodes: (folder) =>
    measureNodes(
      folder,
      quick ? { dispatches: 11, rounds: 1, waves: 5 } : { dispatches: 40, rounds: 3, waves: 10 },
    ),
  listing: (folder) => measureListing(folder, { rounds: quick ? 5 : 10 }),
};

async function main(): Promise<boolean> {
  const names = options.only?.split(",") ?? Object.keys(measurements);
  const unknown = names.filter((name) => !(name in measurements));
  if (unknown.length > 0) {
    throw new Error(`--only takes ${Object.keys(measurements).join(", ")}; not ${unknown.join(", ")}`);
  }
  const rows: Row[] = [];
  for (const name of names) {
    console.error(`measuring: ${name} ...`);
    const folder = join(temporary, name);
    mkdirSync(folder);
    // Nothing is removed until the end: ext4 without a journal steps around what was deleted in the last minutes
    // (recently_deleted() in fs/ext4/ialloc.c), which makes each new file after a large removal several times dearer.
    rows.push(...((await measurements[name]?.(folder)) ?? []));
  }
  console.log(`${machine()}\n`);
  console.log(formatTable(rows, options.markdown));
  return rows.every((row) => row.target?.met ?? true);
}

function machine(): string {
  const [core] = cpus();
  const memory = Math.round(totalmem() / 1024 ** 3);
  return `${cpus().length} x ${core?.model ?? "processor"}, ${memory} GiB, Node ${process.version}, ${process.platform} ${process.arch}`;
}

// Beside the server's own data, not in /tmp: that is often in memory, where a durable write costs nothing.
const data = join(import.meta.dirname, "../data");
mkdirSync(data, { recursive: true });
const temporary = mkdtempSync(join(data, "bench-"));
process.on("exit", () => rmSync(temporary, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(130));
process.exitCode = (await main()) || options.report ? 0 : 1;
