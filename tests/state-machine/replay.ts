/**
 * How a failure is played again. fast-check prints `seed` and `path` with every counterexample:
 *
 *     SEED=-1819918769 RUN_PATH="0:1:1" npx vitest run --project unit tests/state-machine
 *
 * A sequence of commands prints its `replayPath` too (REPLAY_PATH="AAA:B"). RUNS=1000 looks longer than usual.
 */
export function replayed(): { seed?: number; path?: string; numRuns?: number; endOnFailure?: boolean } {
  const { SEED, RUN_PATH, RUNS } = process.env;
  return {
    ...(SEED === undefined ? {} : { seed: Number(SEED) }),
    ...(RUN_PATH === undefined ? {} : { path: RUN_PATH, endOnFailure: true }),
    ...(RUNS === undefined ? {} : { numRuns: Number(RUNS) }),
  };
}

/** Which commands of a sequence were carried out. */
export function replayPath(): { replayPath?: string } {
  const { REPLAY_PATH } = process.env;
  return REPLAY_PATH === undefined ? {} : { replayPath: REPLAY_PATH };
}
