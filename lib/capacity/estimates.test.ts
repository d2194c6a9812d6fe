import { describe, expect, test } from "vitest";
import { createEstimates, type MeasuredNeed, type SampleStore } from "./estimates.ts";
import { type CapacitySettings, defaultCapacitySettings } from "./settings.ts";
import { workingEstimate } from "./working-estimate.ts";

const leftToEngines: CapacitySettings = {
  ...defaultCapacitySettings,
  estimatedMemPerRunMb: null,
  estimatedFdPerRun: null,
  estimatedPidPerRun: null,
};
const builtIn = {
  light: { memory_mib: 200, pids: 20, fds: 80 },
  heavy: { memory_mib: 900, pids: 10, fds: 200 },
  silent: null,
};
const took = (memory_mib: number, pids = 20, fds: number | null = 80): MeasuredNeed => ({
  memory_mib,
  pids,
  fds,
});

/** Records in memory, as JSON, so that what comes back is what a disk would give. */
function memoryStore(): SampleStore & { records: Map<string, string>; full: boolean } {
  const records = new Map<string, string>();
  return {
    records,
    full: false,
    read: async (key) => JSON.parse(records.get(key) ?? "null"),
    async write(key, value) {
      if (this.full) throw new Error("no space");
      records.set(key, JSON.stringify(value));
    },
  };
}

function setUp(settings: Partial<CapacitySettings> = {}, store = memoryStore()) {
  const estimates = createEstimates({ settings: { ...leftToEngines, ...settings }, builtIn, store });
  const noteAll = async (engine: string, runs: MeasuredNeed[], succeeded = true) => {
    for (const run of runs) await estimates.note(engine, run, succeeded);
  };
  return { estimates, store, noteAll };
}

describe("the working estimate", () => {
  test("is the built-in one before anything was measured", () => {
    expect(workingEstimate(300, [])).toBe(300);
  });

  test("moves over to what was measured, with a margin, and is there after five runs", () => {
    expect([1, 2, 3, 4, 5, 6].map((runs) => workingEstimate(200, Array(runs).fill(400)))).toEqual([
      260, 320, 380, 440, 500, 500,
    ]);
    expect(workingEstimate(500, Array(5).fill(300))).toBe(375);
  });

  test("is not set by one or two runs of twenty that ran wild", () => {
    const usual = Array(18).fill(400);
    expect(workingEstimate(200, [9000, ...usual, 8000])).toBe(500);
    expect(workingEstimate(200, [9000, ...usual.slice(1), 8000, 7000])).toBe(8750);
  });

  test("covers nine runs of ten", () => {
    const spread = Array.from({ length: 20 }, (_, index) => (index + 1) * 100);
    expect(workingEstimate(100, spread)).toBe(1800 * 1.25);
  });

  test("never falls below half of the built-in one", () => {
    expect(workingEstimate(301, Array(20).fill(1))).toBe(151);
  });

  test("is a whole number", () => {
    expect(workingEstimate(100, [101])).toBe(106);
  });
});

describe("what a run is thought to need", () => {
  test("comes from the adapter, or is the default where that says nothing", () => {
    const { estimates } = setUp();
    expect(estimates.need("heavy")).toEqual(builtIn.heavy);
    expect(estimates.need("silent")).toEqual({ memory_mib: 1024, pids: 1, fds: 64 });
    expect(estimates.describe()).toMatchObject({
      light: { estimate: builtIn.light, source: { memory_mib: "built_in", pids: "built_in" }, samples: 0 },
      silent: { source: { memory_mib: "default", pids: "default", fds: "default" } },
    });
  });

  test("is corrected by measured runs of the same engine alone", async () => {
    const { estimates, noteAll } = setUp();
    await noteAll("light", Array(5).fill(took(400, 40, 160)));
    expect(estimates.describe().light).toEqual({
      estimate: { memory_mib: 500, pids: 50, fds: 200 },
      source: { memory_mib: "measured", pids: "measured", fds: "measured" },
      samples: 5,
    });
    expect(estimates.need("heavy")).toEqual(builtIn.heavy);
  });

  test("counts the last twenty runs", async () => {
    const { estimates, noteAll } = setUp();
    await noteAll("light", Array(20).fill(took(4000)));
    expect(estimates.need("light").memory_mib).toBe(5000);
    await noteAll("light", Array(20).fill(took(400)));
    expect(estimates.describe().light).toMatchObject({ estimate: { memory_mib: 500 }, samples: 20 });
  });

  test("leaves out descriptors that could not be seen", async () => {
    const { estimates, noteAll } = setUp();
    await noteAll("light", Array(5).fill(took(400, 40, null)));
    expect(estimates.describe().light).toMatchObject({
      estimate: { memory_mib: 500, fds: 80 },
      source: { memory_mib: "measured", fds: "built_in" },
    });
  });

  test.each<[string, MeasuredNeed]>([
    ["memory", took(500)],
    ["threads", took(1, 50)],
    ["descriptors", took(1, 1, 500)],
  ])("learns from a run that failed only where it took more %s than was thought", async (_, more) => {
    const { estimates } = setUp();
    await estimates.note("light", took(199, 19, 79), false);
    await estimates.note("light", took(199, 19, null), false);
    expect(estimates.describe().light).toMatchObject({ estimate: builtIn.light, samples: 0 });
    await estimates.note("light", more, false);
    expect(estimates.describe().light?.samples).toBe(1);
  });
});

describe("a setting", () => {
  test("rules over adapter and measured runs, for every engine, in its resource alone", async () => {
    const { estimates, noteAll } = setUp({ estimatedMemPerRunMb: 333 });
    await noteAll("light", Array(20).fill(took(4000, 40)));
    for (const engine of Object.keys(builtIn)) expect(estimates.need(engine).memory_mib).toBe(333);
    expect(estimates.describe().light).toEqual({
      estimate: { memory_mib: 333, pids: 50, fds: 100 },
      source: { memory_mib: "setting", pids: "measured", fds: "measured" },
      samples: 20,
    });
    const { estimates: others } = setUp({ estimatedFdPerRun: 7, estimatedPidPerRun: 3 });
    expect(others.need("heavy")).toEqual({ memory_mib: 900, pids: 3, fds: 7 });
  });

  test("that is set to the default is set all the same", () => {
    expect(setUp({ estimatedMemPerRunMb: 1024 }).estimates.need("light").memory_mib).toBe(1024);
  });
});

test("the lightest is the least of any engine, resource by resource", async () => {
  const { estimates, noteAll } = setUp();
  expect(estimates.lightest()).toEqual({ memory_mib: 200, pids: 1, fds: 64 });
  await noteAll("light", Array(20).fill(took(2000)));
  expect(estimates.lightest().memory_mib).toBe(900);
  const none = createEstimates({ settings: leftToEngines, builtIn: {}, store: memoryStore() });
  expect(none.lightest()).toEqual({ memory_mib: 1024, pids: 1, fds: 64 });
});

describe("what was measured", () => {
  test("is known again after a restart", async () => {
    const { estimates, store, noteAll } = setUp();
    await noteAll("light", [took(100), took(300, 20, null), ...Array(18).fill(took(400))]);
    const { estimates: later } = setUp({}, store);
    expect(later.need("light").memory_mib).toBe(200);
    await later.load();
    expect(later.describe()).toEqual(estimates.describe());
    expect([...store.records.keys()]).toEqual(["estimates:light"]);
  });

  test.each([
    "[]",
    '{"samples": 7}',
    '{"samples": [{"memory_mib": "much"}]}',
    '{"samples": [{"memory_mib": -1, "pids": 1, "fds": 1}]}',
  ])("is as good as not there when it reads %s", async (text) => {
    const { estimates, store } = setUp();
    store.records.set("estimates:light", text);
    store.records.set("estimates:heavy", JSON.stringify({ samples: Array(20).fill(took(4000)) }));
    await estimates.load();
    expect(estimates.need("light")).toEqual(builtIn.light);
    expect(estimates.need("heavy").memory_mib).toBe(5000);
  });

  test("counts though it could not be stored, and a storage that cannot be read stops nothing", async () => {
    const { estimates, store } = setUp();
    store.full = true;
    await expect(estimates.note("light", took(2000), true)).rejects.toThrow("no space");
    expect(estimates.describe().light?.samples).toBe(1);
    store.records.set("estimates:light", "no JSON");
    await estimates.load();
    expect(estimates.describe().light?.samples).toBe(1);
  });
});
