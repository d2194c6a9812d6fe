import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createCapacity } from "./capacity.ts";
import { createEstimates } from "./estimates.ts";
import { holdTask } from "./held-task.ts";
import { labelsOf, type RunLimits } from "./limits.ts";
import type { CapacityProbe } from "./probe.ts";
import { defaultCapacitySettings } from "./settings.ts";

const GIB = 1024 ** 3;
const noLimits: RunLimits = { engines: new Map(), skills: new Map() };

/** A container with plenty of everything but memory. */
function machine(limitGib: number, usedGib: number, pidsUsed = 0): CapacityProbe {
  const memory = { limit_bytes: limitGib * GIB, used_bytes: usedGib * GIB, source: "cgroup2" } as const;
  const pids = { limit: 140, used: pidsUsed, source: "cgroup2" } as const;
  return {
    cpu: { cores: 64, source: "host" },
    memory: {
      ...memory,
      available_bytes: (limitGib - usedGib) * GIB,
      levels: [{ ...memory, levels_up: 0 }],
    },
    pids: { ...pids, levels: [{ ...pids, levels_up: 0 }] },
    fds: { limit: null, source: "rlimit" },
    problems: [],
  };
}

/** @param perRun what the operator says that every run needs, in MiB; null leaves it to the engines */
function setUp(first: CapacityProbe, perRun: number | null = 1024, limits: RunLimits = noLimits) {
  const probe = vi.fn(async () => first);
  const settings = { ...defaultCapacitySettings, estimatedMemPerRunMb: perRun };
  const estimates = createEstimates({
    settings,
    builtIn: {
      light: { memory_mib: 512, pids: 1, fds: 64 },
      heavy: { memory_mib: 3072, pids: 1, fds: 64 },
    },
    store: { read: async () => null, write: async () => undefined },
  });
  const capacity = createCapacity({ settings, limits, estimates, probe, intervalMs: 1000 });
  const run = (engine: string, skill = "s") =>
    holdTask(
      capacity.gate,
      undefined,
      capacity.gate.reserve({ need: () => estimates.need(engine), labels: labelsOf(engine, skill) }),
    );
  return { capacity, probe, estimates, run };
}

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

test("start opens the gate as wide as the machine allows", async () => {
  const { capacity } = setUp(machine(8, 1));
  expect(capacity.describe()).toMatchObject({ max_concurrent: 2, decision: { bounded_by: "fallback" } });
  await capacity.start();
  expect(capacity.describe()).toMatchObject({
    probe: machine(8, 1),
    decision: { max_concurrent: 6, bounded_by: "memory" },
    running: 0,
    queued: 0,
    max_concurrent: 6,
    max_queue_size: 128,
  });
  capacity.stop();
});

test("what runs in flight use does not lower the limit, what the container is given does change it", async () => {
  const { capacity, probe } = setUp(machine(8, 1, 2));
  await capacity.start();
  let end = () => {};
  const run = capacity.gate.reserve().run(() => new Promise<void>((resolve) => (end = resolve)));

  probe.mockResolvedValue(machine(8, 7, 11));
  await vi.advanceTimersByTimeAsync(1000);
  expect(capacity.describe()).toMatchObject({ running: 1, max_concurrent: 6 });

  probe.mockResolvedValue(machine(5, 4, 11));
  await vi.advanceTimersByTimeAsync(1000);
  expect(capacity.gate.limit).toBe(3);

  end();
  await run;
  await vi.advanceTimersByTimeAsync(1000);
  expect(capacity.describe()).toMatchObject({ running: 0, max_concurrent: 1 });
  capacity.stop();
});

test("a probe that fails falls back, and the next good one recovers", async () => {
  const { capacity, probe } = setUp(machine(8, 1));
  probe.mockRejectedValueOnce(new Error("no disk"));
  await capacity.start();
  expect(capacity.describe()).toMatchObject({
    probe: { memory: null, problems: ["The probe failed: no disk"] },
    max_concurrent: 2,
  });
  await vi.advanceTimersByTimeAsync(1000);
  expect(capacity.gate.limit).toBe(6);
  capacity.stop();
});

test("stop ends the readings, also one that is under way", async () => {
  const { capacity, probe } = setUp(machine(8, 1));
  const starting = capacity.start();
  capacity.stop();
  await starting;
  await capacity.start();
  await vi.advanceTimersByTimeAsync(1000);
  expect(probe).toHaveBeenCalledTimes(3);
  capacity.stop();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(probe).toHaveBeenCalledTimes(3);
});

describe("what runs need", () => {
  test("is each engine's own where the operator does not say, and only so much runs at once", async () => {
    const { capacity, run } = setUp(machine(8, 1), null);
    await capacity.start();
    expect(capacity.describe()).toMatchObject({
      max_concurrent: 12,
      decision: { limits: { memory: 12, pids: 12 } },
      budget: { memory_mib: 6144, pids: 12, fds: null },
      reserved: { memory_mib: 0, pids: 0, fds: 0 },
      short_of: null,
      engines: { heavy: { estimate: { memory_mib: 3072 }, source: { memory_mib: "built_in" }, samples: 0 } },
    });
    const runs = ["heavy", "light", "heavy", "light"].map((engine) => run(engine));
    await vi.advanceTimersByTimeAsync(0);
    expect(capacity.describe()).toMatchObject({
      running: 2,
      queued: 2,
      reserved: { memory_mib: 3584, pids: 2, fds: 128 },
      short_of: "memory_mib",
    });
    for (const { end } of runs) end();
    await capacity.gate.onIdle();
    capacity.stop();
  });

  test("is the same for every run where the operator says so", async () => {
    const { capacity, run } = setUp(machine(8, 1), 1024);
    await capacity.start();
    const runs = Array.from({ length: 8 }, (_, index) => run(index % 2 === 0 ? "heavy" : "light"));
    await vi.advanceTimersByTimeAsync(0);
    expect(capacity.describe()).toMatchObject({
      running: 6,
      queued: 2,
      reserved: { memory_mib: 6144 },
      engines: { heavy: { estimate: { memory_mib: 1024 }, source: { memory_mib: "setting" } } },
    });
    for (const { end } of runs) end();
    await capacity.gate.onIdle();
    capacity.stop();
  });

  test("has no budget where the machine could not be read: the fallback number alone rules", async () => {
    const { capacity, probe, run } = setUp(machine(8, 1), null);
    probe.mockRejectedValueOnce(new Error("no disk"));
    await capacity.start();
    expect(capacity.describe().budget).toEqual({ memory_mib: null, pids: null, fds: null });
    const runs = ["heavy", "heavy", "heavy"].map((engine) => run(engine));
    await vi.advanceTimersByTimeAsync(0);
    expect(capacity.describe()).toMatchObject({ running: 2, queued: 1 });
    for (const { end } of runs) end();
    await capacity.gate.onIdle();
    capacity.stop();
  });

  test("is held against a budget that follows the machine while runs are in flight", async () => {
    const { capacity, probe, run } = setUp(machine(8, 1), null);
    await capacity.start();
    const runs = ["heavy", "heavy", "light", "light"].map((engine) => run(engine));
    probe.mockResolvedValue(machine(6, 5));
    await vi.advanceTimersByTimeAsync(1000);
    expect(capacity.describe()).toMatchObject({ running: 2, queued: 2, budget: { memory_mib: 4096 } });
    runs[0]?.end();
    await vi.advanceTimersByTimeAsync(0);
    expect(capacity.describe()).toMatchObject({ running: 3, queued: 0, reserved: { memory_mib: 4096 } });
    for (const { end } of runs) end();
    await capacity.gate.onIdle();
    capacity.stop();
  });

  test("makes the limit follow what the lightest engine was seen to need", async () => {
    const { capacity, estimates } = setUp(machine(8, 1), null);
    await capacity.start();
    for (let runs = 0; runs < 5; runs += 1) {
      await estimates.note("light", { memory_mib: 1229, pids: 1, fds: 64 }, true);
    }
    await vi.advanceTimersByTimeAsync(1000);
    expect(capacity.describe()).toMatchObject({
      max_concurrent: 3,
      decision: { bounded_by: "memory", limits: { memory: 3 } },
    });
    capacity.stop();
  });
});

test("the operator's limits hold, and what is taken of each is told", async () => {
  const limits = { engines: new Map([["heavy", 2]]), skills: new Map([["light", 1]]) };
  const { capacity, run } = setUp(machine(64, 1), 1024, limits);
  await capacity.start();
  // That a skill is called like an engine is no matter.
  const tasks = [run("heavy"), run("heavy"), run("heavy"), run("light", "light"), run("light", "light")];
  tasks.push(run("light"));
  await vi.advanceTimersByTimeAsync(1);
  expect(tasks.map(({ task }) => task.mock.calls.length)).toEqual([1, 1, 0, 1, 0, 1]);
  expect(capacity.describe()).toMatchObject({
    running: 4,
    queued: 2,
    short_of: null,
    limits: { engines: { heavy: { limit: 2, running: 2 } }, skills: { light: { limit: 1, running: 1 } } },
  });
  for (const { end } of tasks) end();
  await vi.advanceTimersByTimeAsync(1);
  for (const { end } of tasks) end();
  await capacity.gate.onIdle();
  expect(capacity.describe().limits.engines.heavy).toEqual({ limit: 2, running: 0 });
  capacity.stop();
});
