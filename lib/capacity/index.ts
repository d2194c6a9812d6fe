export { type Capacity, type CapacityDescription, type CapacityOptions, createCapacity } from "./capacity.ts";
export { createGate, type Gate, type GateOptions, type GateSnapshot, type Reservation } from "./gate.ts";
export {
  type CapacityBound,
  type CapacityDecision,
  type CapacitySettings,
  defaultCapacitySettings,
} from "./policy.ts";
export { type CapacityProbe, type ProbeOptions, probeCapacity } from "./probe.ts";
