import { memoryKiB, openDescriptors, type ProcessStat } from "./process-files.ts";
import { createProcessForest, type ProcessForest } from "./process-forest.ts";
import type { Resources } from "./record.ts";

/** Watches what the processes of running turns take, all in one go. */
export interface UsageSampler {
  /**
   * Watches a group's leader and everything that belongs to it.
   * @param mark entry of the environment (`name=value`) that marks its processes
   * @returns ends the watch and gives the peaks; null when it was too short to look, or there is no /proc
   */
  watch(leader: number, mark: string): () => Resources | null;
}

export interface SamplerOptions {
  /** Where the kernel shows processes; default "/proc". */
  proc?: string;
  /** Milliseconds until the first sample: a run that is over by then costs nothing. */
  firstMs?: number;
  /** Milliseconds between two samples of the same turn. */
  everyMs?: number;
}

interface Watched {
  mark: string;
  /** When the next sample is due, by `performance.now`. */
  due: number;
  mostPages: number;
  peaks: Resources | null;
}

/** Turns whose next sample would be due a moment later are taken along, so that all share one look. */
const slackMs = 250;
/** How much the resident set must rise before the share of each process is asked for again, which is dear. */
const rise = 1.02;

/** One timer serves all turns; with none there is none. */
export function createUsageSampler(options: SamplerOptions = {}): UsageSampler {
  const { proc = "/proc", firstMs = 300, everyMs = 1_000 } = options;
  const watched = new Map<number, Watched>();
  let forest: ProcessForest | undefined;
  let ticking = false;

  function tickLater(): void {
    ticking = watched.size > 0;
    if (!ticking) {
      // What it remembers of the machine's processes would be old by the next turn.
      forest = undefined;
      return;
    }
    const next = Math.min(...[...watched.values()].map(({ due }) => due)) - performance.now();
    // Not longer than this, as a turn that begins meanwhile sets no timer of its own.
    setTimeout(() => void tick(), Math.min(firstMs, Math.max(0, next))).unref();
  }

  async function tick(): Promise<void> {
    const now = performance.now();
    if ([...watched.values()].some(({ due }) => due <= now)) {
      const due = [...watched].filter(
        ([, { due, peaks }]) => due <= now + (peaks === null ? 0 : Math.min(slackMs, everyMs / 2)),
      );
      forest ??= createProcessForest(proc);
      const trees = await forest.look(new Map([...watched].map(([leader, { mark }]) => [leader, mark])));
      for (const [leader, turn] of due) {
        await sample(proc, turn, trees.get(leader) ?? []);
        turn.due = now + everyMs;
      }
    }
    tickLater();
  }

  return {
    watch(leader, mark) {
      const turn: Watched = { mark, due: performance.now() + firstMs, mostPages: 0, peaks: null };
      watched.set(leader, turn);
      if (!ticking) tickLater();
      return () => {
        watched.delete(leader);
        return turn.peaks;
      };
    },
  };
}

async function sample(proc: string, turn: Watched, tree: readonly ProcessStat[]): Promise<void> {
  const pages = sum(tree.map(({ residentPages }) => residentPages));
  const descriptors = tree.map(({ pid }) => openDescriptors(proc, pid));
  let memory = turn.peaks?.peak_memory_mib ?? 0;
  if (pages > turn.mostPages * rise) {
    turn.mostPages = pages;
    memory = sum(await Promise.all(tree.map(({ pid }) => memoryKiB(proc, pid)))) / 1024;
  }
  // Nobody was there any more.
  if (memory === 0) return;
  turn.peaks = mostOf(turn.peaks, {
    peak_memory_mib: Math.ceil(memory),
    peak_processes: tree.length,
    peak_threads: sum(tree.map(({ threads }) => threads)),
    peak_descriptors: descriptors.includes(undefined) ? null : sum(descriptors.map((count) => count ?? 0)),
  });
}

/** The greater of each; what is null is not known. */
export function mostOf(a: Resources | null, b: Resources | null): Resources | null {
  if (a === null || b === null) return a ?? b;
  const { peak_descriptors: some, ...rest } = a;
  const other = b.peak_descriptors;
  return {
    peak_memory_mib: Math.max(rest.peak_memory_mib, b.peak_memory_mib),
    peak_processes: Math.max(rest.peak_processes, b.peak_processes),
    peak_threads: Math.max(rest.peak_threads, b.peak_threads),
    peak_descriptors: some === null || other === null ? (some ?? other) : Math.max(some, other),
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
