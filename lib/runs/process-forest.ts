import { setImmediate as breath } from "node:timers/promises";
import { environmentOf, type ProcessStat, processIds, processStat } from "./process-files.ts";

/** The processes of several agents at once, each agent known by the pid of its group's leader. */
export interface ProcessForest {
  /**
   * Finds who belongs to whom: by the leader's session or group, by a parent that belongs to it, or by a mark in the
   * environment (for those that moved to a session of their own and lost their parent while nobody looked).
   * @param leaders pid -> entry of the environment (`name=value`) that marks its processes
   */
  look(leaders: ReadonlyMap<number, string>): Promise<Map<number, ProcessStat[]>>;
}

/** Whose a process is: a leader's, or nobody's. */
interface Membership {
  start: number;
  leader: number | null;
}

/** Files read in a row before others get their turn. */
const filesPerBreath = 50;

/**
 * A look lists /proc once for all agents and reads only their processes and what is new since the last look: on a
 * machine with many processes the first look alone costs something.
 */
export function createProcessForest(proc: string): ProcessForest {
  let known = new Map<number, Membership>();

  return {
    async look(leaders) {
      const settled = new Map<number, Membership>();
      const seen = new Map<number, ProcessStat>();
      const fresh: ProcessStat[] = [];
      let files = 0;
      for (const pid of processIds(proc)) {
        const before = known.get(pid);
        if (before?.leader === null && !leaders.has(pid)) {
          settled.set(pid, before);
          continue;
        }
        files += 1;
        if (files % filesPerBreath === 0) await breath();
        const stat = processStat(proc, pid);
        if (stat === undefined) continue;
        seen.set(pid, stat);
        if (before?.start === stat.start) settled.set(pid, before);
        else fresh.push(stat);
      }

      const leaderOf = (pid: number): number | null => {
        if (leaders.has(pid)) return pid;
        const stat = seen.get(pid);
        const membership = settled.get(pid);
        if (membership !== undefined || stat === undefined) return membership?.leader ?? null;
        // First of all, so that a pid that was used again cannot make a circle of parents.
        settled.set(pid, { start: stat.start, leader: null });
        const leader = [stat.session, stat.group].find((id) => leaders.has(id)) ?? leaderOf(stat.parent);
        settled.set(pid, { start: stat.start, leader });
        return leader;
      };
      // Whoever is older than every leader belongs to none.
      const earliest = Math.min(...[...leaders.keys()].map((pid) => seen.get(pid)?.start ?? Infinity));
      for (const { pid, start } of fresh) {
        if (leaderOf(pid) !== null || start < earliest) continue;
        const entries = new Set(await environmentOf(proc, pid));
        const leader = [...leaders].find(([, mark]) => entries.has(mark))?.[0] ?? null;
        settled.set(pid, { start, leader });
      }

      const trees = new Map<number, ProcessStat[]>([...leaders.keys()].map((leader) => [leader, []]));
      for (const [pid, stat] of seen) {
        const leader = leaderOf(pid);
        if (leader !== null) trees.get(leader)?.push(stat);
      }
      known = settled;
      return trees;
    },
  };
}
