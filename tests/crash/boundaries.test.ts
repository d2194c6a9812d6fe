import { availableParallelism } from "node:os";
import pLimit from "p-limit";
import { afterAll, describe, expect, test } from "vitest";
import { type Call, dieAt, type Side } from "./boundary.ts";
import { type Scenario, scenarios } from "./scenarios.ts";

/** CRASH_CASE="<number>:<side>" with `-t "<scenario>"` runs one case again. */
const only = process.env.CRASH_CASE?.split(":");
/** A kill right after an fsync finds what a kill before it found: only a power cut can tell. CRASH_ALL=1 dies there too. */
const all = process.env.CRASH_ALL === "1";
/** CRASH_SHARE="1/2" dies at the first of every two places, "2/2" at the second: CI takes one half, by its commit. */
const [share = 1, shares = 1] = (process.env.CRASH_SHARE ?? "1/1").split("/").map(Number);
const leastKills = 200;
const kills = new Map<string, number>();

/** Where a server can die at a call: after it, in the middle of its bytes, and before it where that can be told apart. */
function sidesOf(call: Call): Side[] {
  if (!all && only === undefined && call.kind === "fsync" && !call.seenOutside) return [];
  return [
    ...(call.seenOutside ? (["before"] as const) : []),
    "after",
    ...(call.data ? (["half"] as const) : []),
  ];
}

async function everyBoundary(scenario: Scenario): Promise<string[]> {
  const whole = await dieAt(scenario, 0, "after");
  expect(whole.faults, "with a kill at the end").toEqual([]);
  const cases = whole.calls
    .flatMap((call) => sidesOf(call).map((side) => ({ n: call.n, side })))
    .filter((_, at) => only !== undefined || at % shares === share - 1)
    .filter(({ n, side }) => only === undefined || (only[0] === String(n) && only[1] === side));
  const atOnce = pLimit(availableParallelism());
  let reached = 0;
  const faults = await atOnce.map(cases, async ({ n, side }) => {
    const outcome = await dieAt(scenario, n, side);
    if (outcome.died) reached += 1;
    const [at] = outcome.calls;
    return outcome.faults.map((fault) => `${n}:${side} ${at?.kind} ${at?.path}: ${fault}`);
  });
  kills.set(scenario.name, cases.length + 1);
  console.log(
    `${scenario.name}: ${whole.calls.length} calls, ${cases.length + 1} kills (share ${share}/${shares}), ${reached} of them at a call`,
  );
  // Threads and timers may change the number of calls a little, but most must be where they were counted.
  if (only === undefined) expect(reached).toBeGreaterThan(cases.length * 0.8);
  return faults.flat();
}

describe("killed at every call that changes the data directory", { timeout: 300_000 }, () => {
  test.each(scenarios)("$name", async (scenario) => {
    expect(await everyBoundary(scenario)).toEqual([]);
  });

  afterAll(() => {
    if (only !== undefined || kills.size < scenarios.length) return;
    const sum = [...kills.values()].reduce((before, count) => before + count, 0);
    expect(sum).toBeGreaterThanOrEqual(leastKills);
    console.log(`${sum} kills at boundaries`);
  });
});
