export { type Capacity, type CapacityDescription, type CapacityOptions, createCapacity } from "./capacity.ts";
export {
  createEstimates,
  type EngineEstimate,
  type Estimates,
  type EstimatesOptions,
  type MeasuredNeed,
} from "./estimates.ts";
export {
  defaultPriority,
  type Gate,
  type GateEntry,
  type GateOptions,
  type GateSnapshot,
  type Reservation,
} from "./gate-contract.ts";
export { type LimitUse, labelsOf, parseLimits, type RunLimits } from "./limits.ts";
export type { CapacityBound, CapacityDecision } from "./policy.ts";
export { type CapacityProbe, type ProbeOptions, probeCapacity } from "./probe.ts";
export { type CapacitySettings, defaultCapacitySettings } from "./settings.ts";
