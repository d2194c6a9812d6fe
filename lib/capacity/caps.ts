/** Counts what runs by its labels, such as its engine and its skill, where a label has a cap. */
export interface Caps {
  /** Those of the labels that have a cap, each once and always in the same order; the others count nowhere. */
  counted(labels: readonly string[]): readonly string[];
  /** Whether one more with these labels may run beside those that do. */
  allow(counted: readonly string[]): boolean;
  /** One more runs, or one less. */
  note(counted: readonly string[], change: 1 | -1): void;
  /** How many run now that have this label; 0 for a label without a cap. */
  running(label: string): number;
}

/** @param most how many may run at once, by label; each an integer of 1 or more, so that alone anybody may run */
export function createCaps(most: ReadonlyMap<string, number>): Caps {
  const running = new Map<string, number>();
  const runningOf = (label: string) => running.get(label) ?? 0;
  return {
    counted: (labels) => [...new Set(labels)].filter((label) => most.has(label)).sort(),
    allow: (counted) =>
      counted.every((label) => runningOf(label) < (most.get(label) ?? Number.POSITIVE_INFINITY)),
    note(counted, change) {
      for (const label of counted) running.set(label, runningOf(label) + change);
    },
    running: runningOf,
  };
}
