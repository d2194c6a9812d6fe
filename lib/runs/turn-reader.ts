import { stripVTControlCharacters } from "node:util";
import {
  type Agent,
  type AgentEvent,
  createTurnSummary,
  nameTools,
  type TurnRequest,
  type TurnSummary,
} from "../agents/index.ts";
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
 * @param onEvent told each event, with the line of stdout that it was read from
 * @param onUnread told each line of stdout that meant nothing to the agent's reader and is no JSON
 */
export function createTurnReader(
  agent: Agent,
  request: TurnRequest,
  onEvent: (event: AgentEvent, bytes: LineBytes | null) => void,
  onUnread: (text: string, bytes: LineBytes) => void = () => undefined,
): TurnReader {
  const { summary, add } = createTurnSummary();
  const named = nameTools();
  const take = (event: AgentEvent, bytes: LineBytes | null = null) => {
    add(event);
    onEvent(named(event), bytes);
  };
  const readLine = (line: string, bytes: LineBytes) => {
    // JSON holds no raw escape character: where one stands, a terminal's colours came along.
    const text = line.includes("\u001b") ? stripVTControlCharacters(line) : line;
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
        if (summary.failure !== null || (summary.completed && !agent.stderrRules)) return;
        const explained = agent.explainStderr(stderr);
        if (explained) take(explained);
      });
    },
  };
}
