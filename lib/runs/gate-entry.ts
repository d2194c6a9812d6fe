import { type GateEntry, labelsOf } from "../capacity/index.ts";
import type { RunContext } from "./context.ts";
import type { RunRecord } from "./record.ts";

/** What the gate goes by when it lets this run in. A temporary skill counts under the name in its package. */
export function gateEntry({ estimates }: RunContext, run: RunRecord): GateEntry {
  const { engine, skill_id, runtime_options } = run;
  return {
    need: () => estimates.need(engine),
    priority: runtime_options.priority,
    labels: labelsOf(engine, skill_id),
  };
}
