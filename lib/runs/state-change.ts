import { z } from "zod";
import { parseLine, runEvent } from "./event-log.ts";
import { type RunRecord, resources, runError, runWarning, usage } from "./record.ts";
import { readTail } from "./tail.ts";
import { isTerminal, type RunStatus, runStatus } from "./transitions.ts";

export const stateChangedType = "conversation.state.changed";

/** Data of the event that tells a change of status; of a last one, all that the record needs to be made again. */
const stateChange = z.object({
  from: runStatus,
  to: runStatus,
  trigger: z.string(),
  updated_at: z.string(),
  terminal: z
    .object({
      status: runStatus,
      error: runError.nullable(),
      diagnostics: z.array(runWarning),
      turns: z.int(),
      usage: usage.nullable(),
      resources: resources.nullable().default(null),
    })
    .optional(),
});
export type StateChange = z.infer<typeof stateChange>;

/** @param run the record after the change */
export function describeStateChange(run: RunRecord, from: RunStatus, trigger: string): StateChange {
  const { status, error, warnings, turns, updated_at } = run;
  const terminal = {
    status,
    error,
    diagnostics: warnings,
    turns,
    usage: run.usage,
    resources: run.resources,
  };
  return { from, to: status, trigger, updated_at, ...(isTerminal(status) ? { terminal } : {}) };
}

/** More than any run tells between its last change of status and a crash. */
const tailBytes = 4 * 1024 * 1024;

/** The last change of status that a log tells of, or null. A torn last line does not count. */
export async function lastStateChange(eventsPath: string): Promise<StateChange | null> {
  const { text } = await readTail(eventsPath, tailBytes);
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  for (const line of whole.split("\n").reverse()) {
    if (!line.includes(stateChangedType)) continue;
    const event = runEvent.safeParse(parseLine(line));
    if (event.data?.type !== stateChangedType) continue;
    const change = stateChange.safeParse(event.data.data);
    if (change.success) return change.data;
  }
  return null;
}
