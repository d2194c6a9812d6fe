/** The value that the given share of the values does not exceed (nearest rank). */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const value = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
  if (value === undefined) throw new Error("there is nothing to take a quantile of");
  return value;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Median of a[n] / b[n]: pairs were measured right after one another, so that a busy moment hits both. */
export function medianRatio(a: readonly number[], b: readonly number[]): number {
  return median(a.map((value, n) => value / (b[n] ?? Number.NaN)));
}

export const milliseconds = (value: number) => `${value.toFixed(value < 10 ? 2 : 1)} ms`;
export const perSecond = (value: number) => `${value.toFixed(value < 100 ? 1 : 0)}/s`;

/** Times one action, in milliseconds. */
export async function timed(action: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await action();
  return performance.now() - started;
}
