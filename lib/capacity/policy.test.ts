import { describe, expect, test } from "vitest";
import { decideCapacity, runBudget } from "./policy.ts";
import { type CapacityProbe, failedProbe } from "./probe.ts";
import { type CapacitySettings, defaultCapacitySettings, defaultNeed, needBySetting } from "./settings.ts";

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

/** As the operator's settings say, who sets everything; by default to the defaults. */
const decide = (probe: CapacityProbe, changed: Partial<CapacitySettings> = {}) => {
  const settings = { ...defaultCapacitySettings, ...changed };
  const { memory_mib, pids, fds } = needBySetting(settings);
  const { memory_mib: memory, pids: processes, fds: descriptors } = defaultNeed;
  return decideCapacity(probe, settings, {
    memory_mib: memory_mib ?? memory,
    pids: pids ?? processes,
    fds: fds ?? descriptors,
  });
};

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

/** What an operator has who sets none of the three estimates. */
const leftToEngines = {
  ...defaultCapacitySettings,
  estimatedMemPerRunMb: null,
  estimatedFdPerRun: null,
  estimatedPidPerRun: null,
};

describe("where the needs of a run are left to the engines", () => {
  const big = machine({ cores: 64, memoryMib: 4096, pids: 250, pidsUsed: 2, fds: 1024 });

  test("as many fit as of the lightest engine", () => {
    const lightest = { memory_mib: 300, pids: 10, fds: 100 };
    expect(decideCapacity(big, leftToEngines, lightest)).toEqual({
      max_concurrent: 7,
      reason: "fds: (limit 1024 - 256 reserve) / 100 per run of the lightest engine = 7",
      bounded_by: "fds",
      limits: { cpu: 48, memory: 10, pids: 12, fds: 7, hard_cap: 16 },
    });
  });

  test("one that is set is told from those that are not", () => {
    const settings = { ...leftToEngines, estimatedMemPerRunMb: 1024 };
    const lightest = { memory_mib: 1024, pids: 1, fds: 1 };
    expect(decideCapacity(big, settings, lightest).reason).toBe(
      "memory: (4096 MiB available - 1024 MiB reserve) / 1024 MiB per run = 3",
    );
  });
});

describe("what all runs together may need", () => {
  const budget = (probe: CapacityProbe) => runBudget(probe, leftToEngines);

  test("is what is left beside the reserve, and has no limit where the machine sets none", () => {
    expect(budget(machine({ pids: 200, pidsUsed: 12 }))).toEqual({
      memory_mib: 15 * 1024,
      pids: 60,
      fds: 768,
    });
    expect(budget(machine({ fds: null }))).toEqual({ memory_mib: 15 * 1024, pids: null, fds: null });
  });

  test("is nothing, not less, where the reserve is all there is", () => {
    expect(budget(machine({ memoryMib: 10, pids: 5, fds: 5 }))).toEqual({ memory_mib: 0, pids: 0, fds: 0 });
  });

  test.each(["cpu", "memory", "pids", "fds"] as const)(
    "has no limit where %s could not be read",
    (section) => {
      const unlimited = { memory_mib: null, pids: null, fds: null };
      expect(budget({ ...machine({ pids: 200 }), [section]: null })).toEqual(unlimited);
    },
  );

  test.each<[string, Machine]>([
    ["memory", { memoryMib: 5000.7 }],
    ["pids", { pids: 137, pidsUsed: 3 }],
    ["fds", { fds: 700 }],
    ["nothing at all", { memoryMib: 100 }],
  ])("holds exactly the runs that the settings allow, where %s is scarce", (_, shape) => {
    const probe = machine({ cores: 64, ...shape });
    const gateBudget = runBudget(probe, defaultCapacitySettings);
    const fits = (runs: number) =>
      (gateBudget.memory_mib ?? Infinity) >= runs * 1024 &&
      (gateBudget.pids ?? Infinity) >= runs &&
      (gateBudget.fds ?? Infinity) >= runs * 64;
    const { max_concurrent: runs } = decide(probe);
    expect(runs === 1 || fits(runs)).toBe(true);
    expect(fits(runs + 1)).toBe(false);
  });
});
