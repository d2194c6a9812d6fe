/** Measured runs that an estimate is made from: the last ones. */
export const windowSize = 20;
/** From so many measured runs on, what the adapter says no longer counts. */
const enoughRuns = 5;
/** Of ten runs nine need no more: one that ran wild does not set the estimate. */
const percentile = 0.9;
/** Samples are a second apart, so the true peak lies above what was seen. */
const margin = 1.25;
/** Least part of the built-in estimate that is always set aside: short runs must not make heavy ones look light. */
const leastPart = 0.5;

/**
 * What a run is thought to need of one resource, rounded up: the built-in estimate, moving over to the measured runs
 * as there are more of them.
 * @param measured peaks of the last runs, in any order
 */
export function workingEstimate(builtIn: number, measured: readonly number[]): number {
  if (measured.length === 0) return builtIn;
  const ascending = measured.toSorted((a, b) => a - b);
  const seen = (ascending[Math.ceil(percentile * ascending.length) - 1] ?? builtIn) * margin;
  const weight = Math.min(1, measured.length / enoughRuns);
  return Math.ceil(Math.max(leastPart * builtIn, builtIn + weight * (seen - builtIn)));
}
