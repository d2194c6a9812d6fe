import { readdir, readFile } from "node:fs/promises";

/** Processes of this machine that carry a run's mark in their environment: pid and run id. */
export async function markedProcesses(): Promise<{ pid: number; run: string }[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => {
      const environment = await readFile(`/proc/${pid}/environ`, "latin1").catch(() => "");
      const run = /(?:^|\0)SKILL_RUNNER_RUN_ID=([^\0]*)/.exec(environment)?.[1];
      return run === undefined ? [] : [{ pid: Number(pid), run }];
    }),
  );
  return found.flat();
}

/** Ids of the processes that carry the mark of one of these runs. */
export async function processesOf(...runs: string[]): Promise<number[]> {
  return (await markedProcesses()).filter(({ run }) => runs.includes(run)).map(({ pid }) => pid);
}
