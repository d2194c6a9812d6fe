export { type Capacity, type CapacityDescription, type CapacityOptions, createCapacity } from "./capacity.ts";
export {
  createEstimates,
  type EngineEstimate,
  type Estimates,
  type EstimatesOptions,
  type MeasuredNeed,
} from "./estimates.ts";
export type { Gate, GateOptions, GateSnapshot, Reservation } from "./gate-contract.ts";
export type { CapacityBound, CapacityDecision } from "./policy.ts";
export { type CapacityProbe, type ProbeOptions, probeCapacity } from "./probe.ts";
export { type CapacitySettings, defaultCapacitySettings } from "./settings.ts";
