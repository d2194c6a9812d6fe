import { join } from "node:path";
import type { CgroupLevel, CgroupVersion } from "./cgroups.ts";
import { parseLimit, readKernelFile, readLimit } from "./kernel-files.ts";

/** CPU time this process may use. `cores` may be a fraction: a quota of 150 ms per 100 ms is 1.5 cores. */
export interface CpuCapacity {
  cores: number;
  source: CgroupVersion | "host";
}

/**
 * The tightest CPU quota over the cgroup levels, or the host's cores when no quota is tighter.
 * `hostCores` is what the scheduler affinity leaves, which already counts cpusets.
 */
export async function readCpu(
  levels: readonly CgroupLevel[],
  hostCores: number,
): Promise<CpuCapacity | null> {
  const quotas = await Promise.all(
    levels.map(async (level) => ({ cores: await readQuota(level), source: level.source })),
  );
  const host: CpuCapacity = { cores: hostCores, source: "host" };
  const found = quotas.reduce<CpuCapacity>((best, quota) => (quota.cores < best.cores ? quota : best), host);
  return Number.isFinite(found.cores) && found.cores > 0 ? found : null;
}

/** Cores that one cgroup's quota allows (kernel docs: cgroup-v2 "cpu.max", scheduler/sched-bwc for v1). */
async function readQuota({ source, directory }: CgroupLevel): Promise<number> {
  const [quota, period] =
    source === "cgroup2"
      ? ((await readKernelFile(join(directory, "cpu.max"))) ?? "").trim().split(" ").map(parseLimit)
      : await Promise.all([
          readLimit(join(directory, "cpu.cfs_quota_us")),
          readLimit(join(directory, "cpu.cfs_period_us")),
        ]);
  if (quota === undefined || period === undefined) return Number.POSITIVE_INFINITY;
  return quota > 0 && period > 0 ? quota / period : Number.POSITIVE_INFINITY;
}
