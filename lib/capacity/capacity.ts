import type { Budget, Need, Resource } from "./budget.ts";
import type { EngineEstimate, Estimates } from "./estimates.ts";
import { createGate } from "./gate.ts";
import type { Gate, GateSnapshot } from "./gate-contract.ts";
import { capsOf, describeLimits, type LimitUse, type RunLimits } from "./limits.ts";
import { type CapacityDecision, decideCapacity, runBudget } from "./policy.ts";
import { type CapacityProbe, failedProbe, withIdleUse } from "./probe.ts";
import type { CapacitySettings } from "./settings.ts";

export interface CapacityOptions {
  settings: CapacitySettings;
  /** Most runs at once of an engine, and of a skill. */
  limits: RunLimits;
  /** What runs need, engine by engine. */
  estimates: Estimates;
  /** Reads the machine; normally `probeCapacity`. */
  probe: () => Promise<CapacityProbe>;
  /** Time between two readings, in ms. */
  intervalMs?: number;
}

/** The last reading as it was read, what was decided from it, the gate's numbers, and what they were made from. */
export interface CapacityDescription extends GateSnapshot {
  probe: CapacityProbe;
  decision: CapacityDecision;
  /** What all runs together may need; null: no limit. */
  budget: Budget;
  /** What the runs in slots are thought to need. */
  reserved: Readonly<Need>;
  /** What the first job in the queue that no cap holds back waits for, when it is not a slot. */
  short_of: Resource | null;
  /** The operator's caps, and how many runs count towards each. */
  limits: Record<keyof RunLimits, Record<string, LimitUse>>;
  engines: Record<string, EngineEstimate>;
}

export interface Capacity {
  readonly gate: Gate;
  /** Reads the machine once, sets the gate, and keeps doing so until `stop`. Never throws. */
  start(): Promise<void>;
  stop(): void;
  describe(): CapacityDescription;
}

/** Keeps a gate as wide as the machine allows. Before `start` the gate has the fallback width. */
export function createCapacity(options: CapacityOptions): Capacity {
  const { settings, limits, estimates, probe, intervalMs = 15_000 } = options;
  let reading = failedProbe("Capacity has not been read yet.");
  let idleReading: CapacityProbe | undefined;
  let decision = decideCapacity(reading, settings, estimates.lightest());
  let timer: NodeJS.Timeout | undefined;
  let started = false;
  const gate = createGate({
    limit: decision.max_concurrent,
    caps: capsOf(limits),
    maxQueueSize: settings.maxQueueSize,
  });

  async function refresh(): Promise<void> {
    const idleBefore = gate.snapshot().running === 0;
    reading = await read();
    if (idleBefore && gate.snapshot().running === 0) idleReading = reading;
    // Runs in flight must not lower the limit they run under, so what is in use is taken from the last idle reading.
    const idle = idleReading ? withIdleUse(reading, idleReading) : reading;
    decision = decideCapacity(idle, settings, estimates.lightest());
    if (gate.limit !== decision.max_concurrent) gate.limit = decision.max_concurrent;
    gate.budget = runBudget(idle, settings);
  }

  async function read(): Promise<CapacityProbe> {
    try {
      return await probe();
    } catch (error) {
      return failedProbe(`The probe failed: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  async function refreshAndRepeat(): Promise<void> {
    await refresh();
    if (!started) return;
    clearTimeout(timer);
    timer = setTimeout(() => void refreshAndRepeat(), intervalMs);
    // A waiting timer must not keep the process alive.
    timer.unref();
  }

  return {
    gate,
    async start() {
      if (started) return;
      started = true;
      await refreshAndRepeat();
    },
    stop() {
      started = false;
      clearTimeout(timer);
    },
    describe: () => ({
      probe: reading,
      decision,
      ...gate.snapshot(),
      budget: gate.budget,
      reserved: { ...gate.reserved },
      short_of: gate.shortOf,
      limits: describeLimits(limits, gate.running),
      engines: estimates.describe(),
    }),
  };
}
