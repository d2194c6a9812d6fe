import { setTimeout as sleep } from "node:timers/promises";
import { environmentOf, isDead, processIds, processStat } from "./process-files.ts";

export interface KillGraces {
  /** Milliseconds between TERM and KILL. */
  termMs: number;
  /** Milliseconds to wait for the group to be gone after KILL. */
  killMs: number;
}

const pollMs = 20;

/**
 * Ends a process group: TERM, wait, KILL, wait. Resolves when the group is gone (or `killMs` after the KILL).
 * The leader must be our child and not yet reaped, or its number might belong to somebody else by now.
 * @param spareLeader the leader gets no TERM: it would die of it at once and take all others with it, without their grace
 */
export async function endProcessGroup(
  leader: number,
  graces: KillGraces,
  { spareLeader = false }: { spareLeader?: boolean } = {},
): Promise<void> {
  if (!signalGroup(leader, spareLeader ? 0 : "SIGTERM")) return;
  if (spareLeader) signalMembers(leader, "SIGTERM");
  if (await groupGone(leader, graces.termMs, spareLeader)) return;
  signalGroup(leader, "SIGKILL");
  await groupGone(leader, graces.killMs, spareLeader);
}

function signalGroup(leader: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-leader, signal);
    return true;
  } catch {
    return false; // ESRCH: nobody is left in the group
  }
}

/**
 * Everybody in the group but its leader; the dead that nobody has asked for yet left out. The first process of a jail is one of
 * them, and dead only when all in its PID namespace are, whatever group they moved to (pid_namespaces(7)). Without memory it
 * is not yet: it gives that back before it ends the others.
 */
function membersOf(leader: number): number[] {
  return processIds("/proc").filter((pid) => pid !== leader && isAlive(pid, leader));
}

function isAlive(pid: number, group: number): boolean {
  const stat = processStat("/proc", pid);
  return stat !== undefined && stat.group === group && !isDead(stat);
}

function signalMembers(leader: number, signal: NodeJS.Signals): void {
  for (const pid of membersOf(leader)) {
    try {
      process.kill(pid, signal);
    } catch {
      // gone by itself
    }
  }
}

/**
 * @param byMembers who is dead counts as gone: what a jail leaves is reaped by init, which may take its time
 */
async function groupGone(leader: number, withinMs: number, byMembers: boolean): Promise<boolean> {
  const isThere = () =>
    signalGroup(leader, 0) && (!byMembers || isAlive(leader, leader) || membersOf(leader).length > 0);
  const deadline = Date.now() + withinMs;
  while (isThere()) {
    if (Date.now() >= deadline) return false;
    await sleep(pollMs);
  }
  return true;
}

/**
 * Kills every process in whose environment `variable` has a value that `isOurs`, wherever it moved to: a child that
 * called setsid(2) left the group but kept its environment. Sweeps /proc until two sweeps in a row find nothing,
 * because one snapshot misses what is born during it. Resolves with how many were killed; 0 where there is no /proc.
 * @param since clock ticks since boot: processes that began before are not looked into
 * @param enough sweeps in a row that find nothing
 */
export async function sweepByEnvironment(
  variable: string,
  isOurs: (value: string) => boolean,
  { since = 0, enough = 2 }: { since?: number; enough?: number } = {},
): Promise<number> {
  let killed = 0;
  for (let emptySweeps = 0, sweeps = 0; emptySweeps < enough && sweeps < 100; sweeps++) {
    const found = await processesWith(variable, isOurs, since);
    for (const pid of found) {
      try {
        process.kill(pid, "SIGKILL");
        killed += 1;
      } catch {
        // gone by itself
      }
    }
    emptySweeps = found.length === 0 ? emptySweeps + 1 : 0;
    if (found.length > 0) await sleep(pollMs);
  }
  return killed;
}

/** Process ids whose environment has the variable with such a value; zombies (which have none) and ourselves left out. */
async function processesWith(
  variable: string,
  isOurs: (value: string) => boolean,
  since: number,
): Promise<number[]> {
  const found: number[] = [];
  for (const pid of processIds("/proc")) {
    if (pid === process.pid) continue;
    // Its environment takes longer to read than this.
    if (since > 0 && (processStat("/proc", pid)?.start ?? 0) < since) continue;
    const entries = await environmentOf("/proc", pid);
    const entry = entries.find((candidate) => candidate.startsWith(`${variable}=`));
    if (entry !== undefined && isOurs(entry.slice(variable.length + 1))) found.push(pid);
  }
  return found;
}
