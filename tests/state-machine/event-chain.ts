import { expect } from "vitest";

/** One event of a run's log, as far as the story of its states is concerned. */
export interface LoggedEvent {
  seq: number;
  type: string;
  data: Record<string, unknown>;
}

const ends = ["succeeded", "failed", "canceled"];

/** The changes of state that a log tells, in order. */
export function stepsOf(events: readonly LoggedEvent[]): Record<string, unknown>[] {
  return events.filter(({ type }) => type === "conversation.state.changed").map(({ data }) => data);
}

/**
 * What holds for every log at every time: numbers without a gap, each step from where the last one led, at most one end
 * and nothing after it, and no question, answer or login told twice.
 * @param first the state that the run began in
 * @param last the state that it is in
 */
export function expectWholeStory(events: readonly LoggedEvent[], first: string, last: string): void {
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, at) => at + 1));
  const steps = stepsOf(events);
  expect(steps.map(({ from }) => from)).toEqual([first, ...steps.map(({ to }) => to)].slice(0, steps.length));
  expect(steps.map(({ revision }) => revision)).toEqual(steps.map((_, at) => at + 1));
  expect(steps.at(-1)?.to ?? first).toBe(last);
  const terminal = events.filter(({ data }) => data.terminal !== undefined);
  expect(terminal.map(({ seq }) => seq)).toEqual(ends.includes(last) ? [events.length] : []);
  const once = [
    ["user.input.required", "interaction_id"],
    ["interaction.reply.accepted", "interaction_id"],
    ["interaction.auto_decide.timeout", "interaction_id"],
    ["auth.required", "auth_session_id"],
    ["auth.completed", "auth_session_id"],
    ["auth.failed", "auth_session_id"],
  ] as const;
  for (const [type, id] of once) {
    const ids = events.filter((event) => event.type === type).map(({ data }) => data[id]);
    expect(ids, type).toEqual([...new Set(ids)]);
  }
}
