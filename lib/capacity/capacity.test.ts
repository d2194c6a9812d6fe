import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createCapacity } from "./capacity.ts";
import { defaultCapacitySettings } from "./policy.ts";
import type { CapacityProbe } from "./probe.ts";

const GIB = 1024 ** 3;

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

function setUp(first: CapacityProbe) {
  const probe = vi.fn(async () => first);
  const capacity = createCapacity({ settings: defaultCapacitySettings, probe, intervalMs: 1000 });
  return { capacity, probe };
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
