import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { faultsOf } from "./checker.ts";
import { createClient, type Ledger, NoAnswer, untilDeath } from "./client.ts";
import type { Scenario } from "./scenarios.ts";
import { makeSite, type Site } from "./site.ts";

export type Side = "before" | "after" | "half";

/** One call that changed the data directory, as `tests/crash/die-at.mjs` counted it. */
export interface Call {
  n: number;
  kind: string;
  path: string;
  /** It writes bytes: it can be cut in half. */
  data: boolean;
  /** Something that can be seen outside of the disk happened between the call before and this one. */
  seenOutside: boolean;
}

export interface Outcome {
  /** The calls that were counted; in a run that died, the one it died at. */
  calls: Call[];
  died: boolean;
  faults: string[];
}

/** Drives a scenario on a fresh server that dies at one call (or at none), restarts it, and checks what is left. */
export async function dieAt(scenario: Scenario, n: number, side: Side): Promise<Outcome> {
  const site = await makeSite();
  const ledger: Ledger = new Map();
  const ops = join(site.folder, "npm", "calls.jsonl");
  try {
    const died = await firstLife(scenario, site, ledger, {
      NODE_OPTIONS: `--import=${join(import.meta.dirname, "die-at.mjs")}`,
      CRASH_AT: String(n),
      CRASH_SIDE: side,
      CRASH_OPS: ops,
      CRASH_ARM: scenario.fromStart ? "start" : "request",
    });
    const faults = await secondLife(scenario, site, ledger);
    const text = await readFile(ops, "utf8").catch(() => "");
    const calls = text.split("\n").filter(Boolean);
    return { calls: calls.map((line) => JSON.parse(line)), died, faults };
  } finally {
    await site.remove();
  }
}

/** True when the server died by itself; one that did not is killed. */
async function firstLife(
  scenario: Scenario,
  site: Site,
  ledger: Ledger,
  deadly: Record<string, string>,
): Promise<boolean> {
  if (scenario.fromStart) {
    const server = await site.launch(scenario.env).ready;
    await scenario.prepare?.(createClient(server.url, ledger), site);
    await server.crash();
  }
  const launched = site.launch({ ...scenario.env, ...deadly });
  let died = false;
  void launched.exited.then(() => {
    died = true;
  });
  const server = await launched.ready.catch((error: unknown) => {
    if (launched.child.signalCode !== "SIGKILL") throw error;
    return null;
  });
  if (server === null) return true;
  const client = createClient(server.url, ledger);
  if (!scenario.fromStart) await scenario.prepare?.(client, site);
  await untilDeath(arm(client.send).then(() => scenario.drive(client, site)));
  // What nobody waits for (the end of a log, the removal of a folder) may still be going on.
  if (!died) await Promise.race([launched.exited, quiet(join(site.folder, "npm", "calls.jsonl"))]);
  const byItself = died;
  await server.crash();
  return byItself;
}

async function arm(send: ReturnType<typeof createClient>["send"]): Promise<void> {
  await send("GET", "/healthz", { headers: { "x-crash-arm": "1" } });
}

async function secondLife(scenario: Scenario, site: Site, ledger: Ledger): Promise<string[]> {
  const server = await site.launch(scenario.env).ready;
  try {
    const client = createClient(server.url, ledger);
    await scenario.afterwards?.(client);
    return await faultsOf(client, site);
  } catch (error) {
    if (error instanceof NoAnswer) return [`after the restart: ${error.message} was not answered`];
    return [`after the restart: ${error instanceof Error ? error.message : error}`];
  } finally {
    await server.crash();
  }
}

/** Resolves when nothing was counted for a while. */
async function quiet(ops: string): Promise<void> {
  let seen = -1;
  for (;;) {
    const { length } = await readFile(ops, "utf8").catch(() => "");
    if (length === seen) return;
    seen = length;
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
}
