import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { bundle } from "./bundle.ts";
import { ended, submit, watchEnds } from "./jobs.ts";
import { median, medianRatio, milliseconds } from "./numbers.ts";
import { type ServerProcess, startServer } from "./server-process.ts";
import { setTalk, type Talk } from "./stand-in.ts";
import type { Heard } from "./subscriber-process.ts";
import { bounded, type Row } from "./table.ts";
import { type Audience, type Programs, type TalkingRun, talkBare, talkThrough } from "./talking-run.ts";

const many = 1_000;
const deaf = 50;
const mostLatencyMs = 10;
/** A run that is followed, against one that nobody follows. */
const mostRatio = 1.1;
const mostDeafMiB = 100;

const oneTalk: Talk = { lines: 200, paceMs: 20, characters: 200 };
const manyTalk: Talk = { lines: 100, paceMs: 50, characters: 200 };
/** More than the kernel holds for a connection that nobody reads from. */
const deafTalk: Talk = { lines: 500, paceMs: 5, characters: 20_000 };
const flatOut: Talk = { ...deafTalk, lines: 2_000, paceMs: 0 };

type Run = (talk: Talk, audience: Audience) => Promise<TalkingRun>;

const nobody: Audience = { count: 0, reads: true };
const ratio = (value: number) => `x ${value.toFixed(2)}`;
const mebibytes = (value: number) => `${value.toFixed(1)} MiB`;

/** Live events: how late an agent's lines reach those who follow, and what followers cost the server and the run. */
export async function measureEvents(folder: string, { rounds }: { rounds: number }): Promise<Row[]> {
  const programs = {
    subscribers: await bundle("subscribers.ts", folder),
    bareFanOut: await bundle("bare-fan-out.ts", folder),
  };
  // A server for each part: how far memory rises says little where it has risen before.
  return [
    ...(await withServer(join(folder, "readers"), programs, (run, server) =>
      measureReaders(run, server, programs, rounds),
    )),
    ...(await withServer(join(folder, "deaf"), programs, (run) => measureDeaf(run, rounds))),
  ];
}

async function measureReaders(
  run: Run,
  server: ServerProcess,
  programs: Programs,
  rounds: number,
): Promise<Row[]> {
  const bare = (talk: Talk, count: number) => talkBare(server.npmPrefix, programs, talk, count);
  const one = { ours: [] as Heard[], bare: [] as Heard[] };
  const all = { ours: [] as Heard[], bare: [] as Heard[] };
  const took = { followed: [] as number[], alone: [] as number[] };
  const grown = { ours: [] as number[], bare: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    one.bare.push((await bare(oneTalk, 1)).heard);
    one.ours.push(heardBy(await run(oneTalk, { count: 1, reads: true })));
  }
  for (let round = 0; round < rounds; round++) {
    const theirs = await bare(manyTalk, many);
    all.bare.push(theirs.heard);
    grown.bare.push(theirs.grownMiB);
    took.alone.push((await run(manyTalk, nobody)).tookMs);
    const followed = await run(manyTalk, { count: many, reads: true });
    all.ours.push(heardBy(followed));
    took.followed.push(followed.tookMs);
    grown.ours.push(followed.grownMiB);
  }
  const p99 = (heard: Heard[]) => median(heard.map(({ p99Ms }) => p99Ms));
  const middle = (heard: Heard[]) => median(heard.map(({ medianMs }) => medianMs));
  const againstBare = (of: (heard: Heard[]) => number, { ours, bare }: typeof one) => ({
    ours: milliseconds(of(ours)),
    against: `${milliseconds(of(bare))} bare fan-out`,
  });
  const thousand = `${many.toLocaleString("en")} subscribers`;
  return [
    bounded(
      { what: "agent line to SSE client, 99th percentile", ...againstBare(p99, one) },
      p99(one.ours),
      { most: mostLatencyMs },
      milliseconds,
    ),
    info("  median", againstBare(middle, one), milliseconds(middle(one.ours))),
    info(`  ${thousand} of one run, 99th percentile`, againstBare(p99, all), milliseconds(p99(all.ours))),
    info("  their median", againstBare(middle, all), milliseconds(middle(all.ours))),
    bounded(
      { what: `run with ${thousand}`, ...durations(took.followed, took.alone) },
      medianRatio(took.followed, took.alone),
      { most: mostRatio },
      ratio,
    ),
    info(
      "  memory they cost the server",
      {
        ours: mebibytes(Math.max(...grown.ours)),
        against: `${mebibytes(Math.max(...grown.bare))} bare fan-out`,
      },
      ratio(Math.max(...grown.ours) / Math.max(...grown.bare)),
    ),
  ];
}

async function measureDeaf(run: Run, rounds: number): Promise<Row[]> {
  const took = { followed: [] as number[], alone: [] as number[] };
  const hurried = { followed: [] as number[], alone: [] as number[] };
  const grown: number[] = [];
  const pair = async (talk: Talk, times: typeof took) => {
    times.alone.push((await run(talk, nobody)).tookMs);
    const followed = await run(talk, { count: deaf, reads: false });
    times.followed.push(followed.tookMs);
    grown.push(followed.grownMiB);
  };
  for (let round = 0; round < rounds; round++) {
    await pair(deafTalk, took);
    await pair(flatOut, hurried);
  }
  const told = Math.round((flatOut.lines * flatOut.characters) / 1024 ** 2);
  return [
    bounded(
      { what: `run with ${deaf} subscribers that take nothing`, ...durations(took.followed, took.alone) },
      medianRatio(took.followed, took.alone),
      { most: mostRatio },
      ratio,
    ),
    info(
      "  the same with an agent that talks flat out",
      durations(hurried.followed, hurried.alone),
      ratio(medianRatio(hurried.followed, hurried.alone)),
    ),
    bounded(
      {
        what: "  memory they cost the server",
        ours: `${deaf} subscribers`,
        against: `${told} MiB for each to take`,
      },
      Math.max(...grown),
      { most: mostDeafMiB },
      mebibytes,
    ),
  ];
}

/** A server with a talker as its agent, which has run once. */
async function withServer(
  folder: string,
  programs: Programs,
  measure: (run: Run, server: ServerProcess) => Promise<Row[]>,
): Promise<Row[]> {
  const server = await startServer(folder, "talker");
  try {
    const { go } = setTalk(server.npmPrefix, { lines: 1, paceMs: 0, characters: 1 });
    writeFileSync(go, "");
    await ended(server.url, await submit(server.url, "the first"));
    const ends = watchEnds(server.dataDir);
    let runs = 0;
    const rows = await measure(
      (talk, audience) => talkThrough({ server, ends, programs }, `run ${runs++}`, talk, audience),
      server,
    );
    ends.close();
    return rows;
  } finally {
    await server.stop();
  }
}

function heardBy({ heard }: TalkingRun): Heard {
  if (heard === null) throw new Error("nobody heard anything");
  return heard;
}

const durations = (followed: number[], alone: number[]) => ({
  ours: milliseconds(median(followed)),
  against: `${milliseconds(median(alone))} with nobody`,
});

const info = (what: string, compared: Pick<Row, "ours" | "against">, result: string): Row => ({
  what,
  ...compared,
  result,
  target: null,
});
