import {
  type Agent,
  type AgentEvent,
  createTurnSummary,
  nameTools,
  type TurnRequest,
  type TurnSummary,
} from "../agents/index.ts";
import type { Cleaner } from "./cleaner.ts";
import { createEventCleaner } from "./event-cleaner.ts";
import { createLineSplitter, type LineBytes } from "./line-splitter.ts";

const overflowText = "a line of output was longer than 1 MiB and was left out";

/** Reads one turn's output into events. Whatever a CLI prints, nothing throws: it is the turn that fails. */
export interface TurnReader {
  readonly summary: TurnSummary;
  /** An event that did not come over stdout as a line. */
  take(event: AgentEvent): void;
  /** A piece of stdout. */
  write(chunk: Buffer): void;
  /** stdout has ended; `stderr` is the end of what came there, asked when stdout told no reason for a failure. */
  end(stderr: string): void;
}

/**
 * @param cleaner what is summed up and told has none of its secrets, also where pieces of a message are joined
 * @param onEvent told each event, with the line of stdout that it was read from
 * @param onUnread told each line of stdout that meant nothing to the agent's reader and is no JSON
 */
export function createTurnReader(
  agent: Agent,
  request: TurnRequest,
  cleaner: Cleaner,
  onEvent: (event: AgentEvent, bytes: LineBytes | null) => void,
  onUnread: (text: string, bytes: LineBytes) => void = () => undefined,
): TurnReader {
  const { summary, add } = createTurnSummary();
  const named = nameTools();
  const cleaned = createEventCleaner(cleaner);
  const tell = (event: AgentEvent, bytes: LineBytes | null) => {
    add(event);
    onEvent(named(event), bytes);
  };
  const take = (event: AgentEvent, bytes: LineBytes | null = null) => {
    const events = cleaned.push(event);
    // What was held back until now is of an earlier line.
    for (const each of events) tell(each, each === events.at(-1) ? bytes : null);
  };
  const readLine = (text: string, bytes: LineBytes) => {
    const events = reader.line(text);
    for (const event of events) take(event, bytes);
    if (events.length === 0 && !/^\s*(\{|$)/.test(text)) onUnread(text, bytes);
  };
  const reader = agent.read(request);
  // In a stream's listener an error would take the server down, such as that of JSON nested deeper than the stack.
  const guarded = (read: () => void) => {
    try {
      read();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      add({ type: "failure", kind: "other", message: `The CLI's output could not be read: ${reason}` });
    }
  };
  const lines = createLineSplitter(
    (line, bytes) => guarded(() => readLine(line, bytes)),
    () => guarded(() => take({ type: "warning", message: overflowText })),
  );
  return {
    summary,
    take: (event) => guarded(() => take(event)),
    write: (chunk) => lines.write(chunk),
    end(stderr) {
      lines.end();
      guarded(() => {
        for (const event of reader.end?.() ?? []) take(event);
      });
      guarded(() => {
        for (const event of cleaned.end()) tell(event, null);
        if (summary.failure !== null || (summary.completed && !agent.stderrRules)) return;
        const explained = agent.explainStderr(stderr);
        if (explained) take(explained);
      });
    },
  };
}
