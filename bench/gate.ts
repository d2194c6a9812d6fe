import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { bundle } from "./bundle.ts";
import { median, medianRatio, perSecond } from "./numbers.ts";
import { skillsDir } from "./server-process.ts";
import type { Program } from "./stand-in.ts";
import { bounded, type Row } from "./table.ts";

const leastRatio = 0.7;

export interface GateOrder {
  folder: string;
  skillsDir: string;
  program: Program;
  concurrency: number;
  runsPerRound: number;
  rounds: number;
}

/** Seconds of each round. */
export interface GateTimes {
  gate: number[];
  plain: number[];
}

/** Throughput of many short runs, held against the same spawns from a plain loop with the same concurrency. */
export async function measureGate(
  folder: string,
  { runs, rounds }: { runs: number; rounds: number },
): Promise<Row[]> {
  const worker = await bundle("gate-worker.ts", folder);
  const concurrency = 2 * availableParallelism();
  const measure = (program: Program): Omit<Row, "target"> & { ratio: number } => {
    const own = join(folder, program);
    mkdirSync(own);
    const order: GateOrder = {
      folder: own,
      skillsDir,
      program,
      concurrency,
      runsPerRound: runs / rounds,
      rounds,
    };
    const times: GateTimes = JSON.parse(
      execFileSync(process.execPath, [worker, JSON.stringify(order)], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "inherit"],
      }),
    );
    const rate = (seconds: number[]) => order.runsPerRound / median(seconds);
    const ratio = medianRatio(times.plain, times.gate);
    return {
      what: `${runs.toLocaleString("en")} runs, ${concurrency} at once`,
      ours: perSecond(rate(times.gate)),
      against: `${perSecond(rate(times.plain))} plain loop`,
      result: show(ratio),
      ratio,
    };
  };
  const { ratio, ...row } = measure("node");
  const { ratio: _, ...shell } = measure("sh");
  return [
    bounded(row, ratio, { least: leastRatio }, show),
    { ...shell, what: "  the same with a shell script", target: null },
  ];
}

const show = (value: number) => `x ${value.toFixed(2)}`;
