import { createGate, type Gate, type GateSnapshot } from "./gate.ts";
import { type CapacityDecision, type CapacitySettings, decideCapacity } from "./policy.ts";
import { type CapacityProbe, failedProbe, withIdleUse } from "./probe.ts";

export interface CapacityOptions {
  settings: CapacitySettings;
  /** Reads the machine; normally `probeCapacity`. */
  probe: () => Promise<CapacityProbe>;
  /** Time between two readings, in ms. */
  intervalMs?: number;
}

/** The last reading as it was read, what was decided from it, and the gate's numbers. */
export interface CapacityDescription extends GateSnapshot {
  probe: CapacityProbe;
  decision: CapacityDecision;
}

export interface Capacity {
  readonly gate: Gate;
  /** Reads the machine once, sets the gate, and keeps doing so until `stop`. Never throws. */
  start(): Promise<void>;
  stop(): void;
  describe(): CapacityDescription;
}

/** Keeps a gate as wide as the machine allows. Before `start` the gate has the fallback width. */
export function createCapacity({ settings, probe, intervalMs = 15_000 }: CapacityOptions): Capacity {
  let reading = failedProbe("Capacity has not been read yet.");
  let idleReading: CapacityProbe | undefined;
  let decision = decideCapacity(reading, settings);
  let timer: NodeJS.Timeout | undefined;
  let started = false;
  const gate = createGate({ limit: decision.max_concurrent, maxQueueSize: settings.maxQueueSize });

  async function refresh(): Promise<void> {
    const idleBefore = gate.snapshot().running === 0;
    reading = await read();
    if (idleBefore && gate.snapshot().running === 0) idleReading = reading;
    // Runs in flight must not lower the limit they run under, so what is in use is taken from the last idle reading.
    decision = decideCapacity(idleReading ? withIdleUse(reading, idleReading) : reading, settings);
    if (gate.limit !== decision.max_concurrent) gate.limit = decision.max_concurrent;
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
    describe: () => ({ probe: reading, decision, ...gate.snapshot() }),
  };
}
