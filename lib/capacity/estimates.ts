import { z } from "zod";
import { eachResource, type Need, type Resource } from "./budget.ts";
import { type CapacitySettings, defaultNeed, needBySetting } from "./settings.ts";
import { windowSize, workingEstimate } from "./working-estimate.ts";

/** What a run was seen to need; descriptors are null where the kernel did not show all of them. */
const sample = z.object({
  memory_mib: z.number().nonnegative(),
  pids: z.number().nonnegative(),
  fds: z.number().nonnegative().nullable(),
});
export type MeasuredNeed = z.infer<typeof sample>;

/** How samples are kept: newest last. */
const stored = z.object({ samples: z.array(sample) });

/** Where samples outlive a restart: small records by key. */
export interface SampleStore {
  read(key: string): Promise<unknown>;
  write(key: string, value: object, options: { durable: false }): Promise<void>;
}

export interface EstimatesOptions {
  settings: CapacitySettings;
  /** What a run of each engine needs as its adapter says; null for one that says nothing. */
  builtIn: Readonly<Record<string, Readonly<Need> | null>>;
  store: SampleStore;
}

/** `default`: neither the operator nor the adapter nor a run has told anything. */
export type EstimateSource = "setting" | "measured" | "built_in" | "default";

export interface EngineEstimate {
  estimate: Readonly<Need>;
  source: Record<Resource, EstimateSource>;
  /** Measured runs that count. */
  samples: number;
}

/** What runs need, engine by engine. A setting of the operator rules over everything else. */
export interface Estimates {
  need(engine: string): Readonly<Need>;
  /** The least that a run of any engine needs of each resource. */
  lightest(): Readonly<Need>;
  describe(): Record<string, EngineEstimate>;
  /**
   * Takes a run's peaks into account, and keeps them. A run that did not succeed may have been cut short, so it counts
   * only when it needed more than was thought. Rejects when they could not be stored; they count all the same.
   */
  note(engine: string, measured: MeasuredNeed, succeeded: boolean): Promise<void>;
  /** Reads what earlier processes stored. What cannot be read is as good as not there. */
  load(): Promise<void>;
}

const keyOf = (engine: string) => `estimates:${engine}`;

export function createEstimates({ settings, builtIn, store }: EstimatesOptions): Estimates {
  const setting = needBySetting(settings);
  const samples = new Map<string, readonly MeasuredNeed[]>();
  const estimates = new Map<string, EngineEstimate>();
  const learn = (engine: string, seen: readonly MeasuredNeed[]) => {
    samples.set(engine, seen);
    const known = estimateOf(setting, builtIn[engine] ?? null, seen);
    estimates.set(engine, known);
    return known;
  };
  const of = (engine: string) => estimates.get(engine) ?? learn(engine, []);
  const engines = Object.keys(builtIn);
  engines.forEach(of);

  return {
    need: (engine) => of(engine).estimate,
    lightest() {
      const needs = engines.length === 0 ? [of("").estimate] : engines.map((engine) => of(engine).estimate);
      return eachResource((resource) => Math.min(...needs.map((need) => need[resource])));
    },
    describe: () => Object.fromEntries(engines.map((engine) => [engine, of(engine)])),
    async note(engine, measured, succeeded) {
      const thought = of(engine).estimate;
      const isMore =
        measured.memory_mib > thought.memory_mib ||
        measured.pids > thought.pids ||
        (measured.fds ?? 0) > thought.fds;
      if (!succeeded && !isMore) return;
      const seen = [...(samples.get(engine) ?? []), measured].slice(-windowSize);
      learn(engine, seen);
      await store.write(keyOf(engine), { samples: seen }, { durable: false });
    },
    async load() {
      await Promise.all(
        engines.map(async (engine) => {
          const known = stored.safeParse(await store.read(keyOf(engine)).catch(() => null));
          if (known.success) learn(engine, known.data.samples.slice(-windowSize));
        }),
      );
    },
  };
}

function estimateOf(
  setting: Readonly<Record<Resource, number | null>>,
  builtIn: Readonly<Need> | null,
  seen: readonly MeasuredNeed[],
): EngineEstimate {
  const measured = eachResource((resource) =>
    seen.map((run) => run[resource]).filter((peak) => peak !== null),
  );
  return {
    estimate: eachResource(
      (resource) =>
        setting[resource] ?? workingEstimate((builtIn ?? defaultNeed)[resource], measured[resource]),
    ),
    source: eachResource((resource) => {
      if (setting[resource] !== null) return "setting";
      if (measured[resource].length > 0) return "measured";
      return builtIn === null ? "default" : "built_in";
    }),
    samples: seen.length,
  };
}
