import { describe, expect, test } from "vitest";
import { decideCapacity, defaultCapacitySettings } from "./policy.ts";
import { type CapacityProbe, failedProbe } from "./probe.ts";

const MIB = 1024 ** 2;

interface Machine {
  cores?: number;
  memoryMib?: number;
  pids?: number | null;
  pidsUsed?: number;
  fds?: number | null;
}

/** 8 cores, 16 GiB free, 1024 descriptors, no process limit: the worked example. */
function machine({ cores = 8, memoryMib = 16 * 1024, pids = null, pidsUsed, fds = 1024 }: Machine = {}) {
  const bytes = memoryMib * MIB;
  const result: CapacityProbe = {
    cpu: { cores, source: "host" },
    memory: { limit_bytes: bytes, used_bytes: 0, available_bytes: bytes, source: "host", levels: [] },
    pids: { limit: pids, used: pidsUsed ?? null, source: "cgroup2", levels: [] },
    fds: { limit: fds, source: "rlimit" },
    problems: [],
  };
  return result;
}

const decide = (probe: CapacityProbe, settings = {}) =>
  decideCapacity(probe, { ...defaultCapacitySettings, ...settings });

describe("how many runs at once", () => {
  test("the worked example", () => {
    expect(decide(machine())).toEqual({
      max_concurrent: 6,
      reason: "cpu: 8 cores x 0.75 = 6",
      bounded_by: "cpu",
      limits: { cpu: 6, memory: 15, pids: 16, fds: 12, hard_cap: 16 },
    });
  });

  test.each<[string, Machine, number, string, string]>([
    ["cpu quota", { cores: 2 }, 1, "cpu", "cpu: 2 cores x 0.75 = 1"],
    ["half a core", { cores: 0.5 }, 1, "cpu", "cpu: 0.5 cores x 0.75 is below 1, so 1"],
    [
      "memory",
      { memoryMib: 4096.9 },
      3,
      "memory",
      "memory: (4096 MiB available - 1024 MiB reserve) / 1024 MiB per run = 3",
    ],
    [
      "less memory than the reserve",
      { memoryMib: 500 },
      1,
      "memory",
      "memory: (500 MiB available - 1024 MiB reserve) / 1024 MiB per run is below 1, so 1",
    ],
    ["rlimit nproc", { pids: 130 }, 2, "pids", "pids: (limit 130 - 128 reserve) / 1 per run = 2"],
    [
      "cgroup pids less those used",
      { pids: 200, pidsUsed: 68 },
      4,
      "pids",
      "pids: (limit 200 - 68 used - 128 reserve) / 1 per run = 4",
    ],
    ["descriptors", { fds: 512 }, 4, "fds", "fds: (limit 512 - 256 reserve) / 64 per run = 4"],
    ["a big machine", { cores: 64, memoryMib: 512 * 1024, fds: null }, 16, "hard_cap", "hard cap = 16"],
  ])("is bounded by %s", (_, shape, runs, by, reason) => {
    expect(decide(machine(shape))).toMatchObject({ max_concurrent: runs, bounded_by: by, reason });
  });

  test("settings of zero per run do not divide by zero", () => {
    const settings = { estimatedMemPerRunMb: 0, estimatedFdPerRun: 0, estimatedPidPerRun: 0 };
    expect(decide(machine({ cores: 64, pids: 999 }), settings).max_concurrent).toBe(16);
  });
});

describe("when the machine could not be read", () => {
  test("the fallback holds and names what is missing", () => {
    expect(decide({ ...machine(), memory: null })).toEqual({
      max_concurrent: 2,
      reason: "fallback: memory could not be read, so 2",
      bounded_by: "fallback",
      limits: { cpu: 6, memory: null, pids: 16, fds: 12, hard_cap: 16 },
    });
  });

  test("the fallback never exceeds the hard cap", () => {
    const settings = { fallbackMaxConcurrent: 9, maxConcurrentHardCap: 4 };
    expect(decide(failedProbe("no"), settings).max_concurrent).toBe(4);
  });
});
