import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { submit, type watchEnds } from "./jobs.ts";
import { residentMemory, type ServerProcess, startNode, stop } from "./server-process.ts";
import { type Cue, setTalk, type Talk } from "./stand-in.ts";
import { type Heard, startSubscribers } from "./subscriber-process.ts";

export interface Audience {
  count: number;
  /** False: they take nothing any more once their stream has begun. */
  reads: boolean;
}

/** Bundled programs. */
export interface Programs {
  subscribers: string;
  bareFanOut: string;
}

export interface TalkingRun {
  /** From the agent's first line until the run has ended. */
  tookMs: number;
  /** How far the server's memory rose, at most, from before the audience came until the end. */
  grownMiB: number;
  /** Null without an audience that reads. */
  heard: Heard | null;
}

const memoryEveryMs = 50;
const patienceMs = 30_000;

/** Lets an agent talk in a run of the server while an audience follows the run's events. */
export async function talkThrough(
  {
    server,
    ends,
    programs,
  }: { server: ServerProcess; ends: ReturnType<typeof watchEnds>; programs: Programs },
  name: string,
  talk: Talk,
  { count, reads }: Audience,
): Promise<TalkingRun> {
  const cue = setTalk(server.npmPrefix, talk);
  const id = await submit(server.url, name);
  await isThere(cue);
  const before = residentMemory(server.pid);
  let most = before;
  const sampling = setInterval(() => {
    most = Math.max(most, residentMemory(server.pid));
  }, memoryEveryMs);
  const events = `${server.url}/v1/jobs/${id}/events`;
  const audience =
    count === 0 ? null : await startSubscribers(programs.subscribers, events, { count, reads });
  try {
    const started = performance.now();
    writeFileSync(cue.go, "");
    await ends.of(id);
    const tookMs = performance.now() - started;
    const heard = audience !== null && reads ? await audience.heard() : null;
    if (heard !== null) assertWhole(heard, talk, count);
    return { tookMs, grownMiB: most - before, heard };
  } finally {
    clearInterval(sampling);
    await audience?.stop();
  }
}

/** The same talk, sent by a bare server to an audience that reads. */
export async function talkBare(
  npmPrefix: string,
  programs: Programs,
  talk: Talk,
  count: number,
): Promise<{ grownMiB: number; heard: Heard }> {
  const cue = setTalk(npmPrefix, talk);
  const child = startNode(programs.bareFanOut, [join(npmPrefix, "bin", "codex")], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    if (child.stdout === null) throw new Error("the bare server has no output");
    const [port] = await once(child.stdout, "data");
    await isThere(cue);
    const before = residentMemory(child.pid ?? 0);
    const url = `http://127.0.0.1:${String(port).trim()}/`;
    const audience = await startSubscribers(programs.subscribers, url, { count, reads: true });
    writeFileSync(cue.go, "");
    const heard = await audience.heard();
    assertWhole(heard, talk, count);
    return { grownMiB: residentMemory(child.pid ?? 0) - before, heard };
  } finally {
    await stop(child);
  }
}

async function isThere({ there }: Cue): Promise<void> {
  for (const started = performance.now(); !existsSync(there); await sleep(5)) {
    if (performance.now() - started > patienceMs) throw new Error("the agent did not come");
  }
}

/** Everybody must have heard all of it: the subscribers look at the order themselves. */
function assertWhole({ lines, fewestEvents, mostEvents }: Heard, talk: Talk, count: number): void {
  if (lines !== talk.lines * count || fewestEvents !== mostEvents) {
    throw new Error(
      `${count} subscribers heard ${lines} of ${talk.lines} lines each, ${fewestEvents} to ${mostEvents} events`,
    );
  }
}
