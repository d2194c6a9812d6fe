import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Agent, TurnRequest } from "./agent.ts";
import { type AgentEvent, nameTools } from "./events.ts";
import { createTurnSummary } from "./turn-summary.ts";

/** A first turn with nothing asked for but what is given. */
export function turnOf(overrides: Partial<TurnRequest> = {}): TurnRequest {
  return {
    skillId: "s",
    workspace: "/w",
    turnDir: "/t",
    model: null,
    provider: null,
    effort: null,
    sessionId: null,
    outputSchema: null,
    sandbox: "workspace-write",
    environment: {},
    skillConfig: null,
    cli: { version: null, flags: new Set() },
    asRoot: false,
    ...overrides,
  };
}

/** What a stream recorded from the real CLI tells us, stderr included: `tests/fixtures/<agent>/<version>/<name>.*`. */
export function readRecorded(agent: Agent, version: string, name: string, turn = turnOf()) {
  const folder = join(import.meta.dirname, "../../tests/fixtures", agent.id, version);
  const events: AgentEvent[] = [];
  const { summary, add } = createTurnSummary();
  const named = nameTools();
  const take = (event: AgentEvent) => {
    events.push(named(event));
    add(event);
  };
  const reader = agent.read(turn);
  for (const line of readFileSync(join(folder, `${name}.jsonl`), "utf8").split("\n"))
    reader.line(line).forEach(take);
  reader.end?.().forEach(take);
  if (summary.failure === null && (!summary.completed || agent.stderrRules)) {
    const explained = agent.explainStderr(readFileSync(join(folder, `${name}.stderr.txt`), "utf8"));
    if (explained) take(explained);
  }
  return { events, summary, types: events.map((event) => event.type) };
}
